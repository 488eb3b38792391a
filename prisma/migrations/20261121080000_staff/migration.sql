-- Staff, their sessions, what takes two of them, and what they agree with partners (R3.3, R4.3, R4.7 to R4.9).

-- CreateTable
CREATE TABLE "staff_members" (
    "id" UUID NOT NULL,
    "issuer" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "roles" TEXT[],
    "withdrawn_roles" TEXT[],
    "status" TEXT NOT NULL DEFAULT 'active',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "last_sign_in_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "staff_members_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "staff_sessions" (
    "id" UUID NOT NULL,
    "member_id" UUID NOT NULL,
    "token_sha256" TEXT NOT NULL,
    "authenticated_at" TIMESTAMPTZ(3) NOT NULL,
    "acr" TEXT,
    "amr" TEXT[],
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "last_seen_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),

    CONSTRAINT "staff_sessions_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "approvals" (
    "kind" TEXT NOT NULL,
    "object_id" UUID NOT NULL,
    "requested_by" UUID NOT NULL,
    "requested_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "approved_by" UUID,
    "approved_at" TIMESTAMPTZ(3),

    CONSTRAINT "approvals_pkey" PRIMARY KEY ("kind","object_id")
);

-- CreateTable
CREATE TABLE "data_set_agreements" (
    "id" UUID NOT NULL,
    "partner_id" TEXT NOT NULL,
    "fields" TEXT[],
    "status" TEXT NOT NULL DEFAULT 'proposed',
    "version" INTEGER,
    "proposed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "in_force_from" TIMESTAMPTZ(3),
    "ended_at" TIMESTAMPTZ(3),

    CONSTRAINT "data_set_agreements_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "staff_members_issuer_subject_key" ON "staff_members"("issuer", "subject");

-- CreateIndex
CREATE INDEX "staff_sessions_member_id_idx" ON "staff_sessions"("member_id");

-- CreateIndex
CREATE INDEX "staff_sessions_expires_at_idx" ON "staff_sessions"("expires_at");

-- CreateIndex
CREATE UNIQUE INDEX "staff_sessions_token_sha256_key" ON "staff_sessions"("token_sha256");

-- CreateIndex
CREATE UNIQUE INDEX "data_set_agreements_partner_id_version_key" ON "data_set_agreements"("partner_id", "version");

-- AddForeignKey
ALTER TABLE "staff_sessions" ADD CONSTRAINT "staff_sessions_member_id_fkey" FOREIGN KEY ("member_id") REFERENCES "staff_members"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "data_set_agreements" ADD CONSTRAINT "data_set_agreements_partner_id_fkey" FOREIGN KEY ("partner_id") REFERENCES "partners"("id") ON DELETE RESTRICT ON UPDATE CASCADE;


-- Four eyes, also when the code is wrong: nobody approves what they asked for.
ALTER TABLE "approvals" ADD CHECK ("approved_by" IS DISTINCT FROM "requested_by");

-- The API signs staff in; housekeeping removes old sessions; no integration's worker has a grant.
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['staff_members', 'staff_sessions', 'approvals', 'data_set_agreements'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY api ON %I TO domovoy_api USING (true)', t);
    EXECUTE format('CREATE POLICY core ON %I TO domovoy_core USING (true)', t);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %I TO domovoy_api', t);
    EXECUTE format('GRANT SELECT ON %I TO domovoy_core', t);
  END LOOP;
END $$;
GRANT DELETE ON "staff_sessions" TO domovoy_core;

-- What staff do with equipment and agreements; nothing else of these rows is the API's to change.
GRANT UPDATE ("status", "updated_at") ON "access_points" TO domovoy_api;
GRANT UPDATE ("agreed_fields", "revision") ON "partners" TO domovoy_api;

-- Who is disabled loses every session with it, whoever did it, and does not get them back.
CREATE FUNCTION end_staff_sessions() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
  UPDATE "staff_sessions" SET ended_at = now() WHERE member_id = NEW.id AND ended_at IS NULL;
  RETURN NULL;
END $$;
CREATE TRIGGER staff_members_disabled AFTER UPDATE ON "staff_members"
  FOR EACH ROW WHEN (NEW.status <> 'active') EXECUTE FUNCTION end_staff_sessions();
