-- How far what a process noted is written in the journal (journal/spool.ts): moved by the statement that writes, so that
-- nothing is written twice, whoever writes it.

-- CreateTable
CREATE TABLE "journal_spools" (
    "id" UUID NOT NULL,
    "written" BIGINT NOT NULL,
    "login" TEXT NOT NULL,

    CONSTRAINT "journal_spools_pkey" PRIMARY KEY ("id")
);

-- What a process left behind is written by its like, and moved by nobody else.
ALTER TABLE "journal_spools" ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON "journal_spools" TO domovoy_api, domovoy_smart_home, domovoy_communal, domovoy_core
  USING (login = current_user);
GRANT SELECT, INSERT, DELETE ON "journal_spools" TO domovoy_api, domovoy_smart_home, domovoy_communal, domovoy_core;
GRANT UPDATE ("written") ON "journal_spools" TO domovoy_api, domovoy_smart_home, domovoy_communal, domovoy_core;
