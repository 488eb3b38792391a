-- When a partner was first told of a demand for its logs: it reads what it owes, and that it did is part of the custody (R3.6).
ALTER TABLE "log_export_demands" ADD COLUMN "told_at" TIMESTAMPTZ(3);
