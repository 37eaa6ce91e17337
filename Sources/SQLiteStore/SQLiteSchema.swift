import GRDB
import Ledger
import SQLStore

/// The database's tables, version by version. A migration that has shipped is never edited.
enum SQLiteSchema {
  /// The newest era.
  static func era(_ db: Database) throws -> Int64 {
    try Era.checked(try Int64.fetchOne(db, sql: "SELECT max(number) FROM eras") ?? 0)
  }

  /// The newest era, in which deliveries are numbered behind those of the eras before. Other rows are as they are made.
  static func reachEra(_ db: Database) throws -> Int64 {
    let era = try era(db)
    let last = Era.lastNumber(before: era)
    let known = try Int64.fetchOne(db, sql: "SELECT seq FROM sqlite_sequence WHERE name = 'deliveries'")
    if known.map({ $0 < last }) ?? (last > 0) {
      try db.execute(sql: "DELETE FROM sqlite_sequence WHERE name = 'deliveries'")
      try db.execute(sql: "INSERT INTO sqlite_sequence (name, seq) VALUES ('deliveries', ?)", arguments: [last])
    }
    return era
  }

  static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1") { db in
      try db.execute(
        sql: """
          CREATE TABLE meta (
            name TEXT PRIMARY KEY,
            value BLOB NOT NULL
          ) WITHOUT ROWID, STRICT;

          -- Eras after the first, which is 0: see ChainSeeds.
          CREATE TABLE eras (
            number INTEGER PRIMARY KEY,
            begun INTEGER NOT NULL,
            reason TEXT NOT NULL
          ) STRICT;

          CREATE TABLE accounts (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            daily_quota INTEGER,
            created INTEGER NOT NULL
          ) STRICT;

          CREATE TABLE api_keys (
            id INTEGER PRIMARY KEY,
            account_id INTEGER NOT NULL REFERENCES accounts (id),
            hash BLOB NOT NULL UNIQUE,
            prefix TEXT NOT NULL,
            mode INTEGER NOT NULL,
            allowed_networks TEXT NOT NULL,
            allowed_referers TEXT NOT NULL,
            -- See KeyScopes.
            scopes INTEGER NOT NULL,
            created INTEGER NOT NULL,
            revoked INTEGER
          ) STRICT;

          -- owner_id is an account's id, or 0 for the chains that anonymous callers share.
          CREATE TABLE chains (
            id INTEGER PRIMARY KEY,
            owner_id INTEGER NOT NULL,
            client_seed BLOB NOT NULL,
            era INTEGER NOT NULL,
            epoch INTEGER NOT NULL,
            server_hash BLOB NOT NULL,
            cursor INTEGER NOT NULL,
            nonce INTEGER NOT NULL,
            trail BLOB NOT NULL,
            created INTEGER NOT NULL,
            UNIQUE (owner_id, client_seed)
          ) STRICT;

          -- previous and jump are rows of the same chain, or 0: see OutcomeTrail. value is what StoredValue makes of it.
          CREATE TABLE outcomes (
            id INTEGER PRIMARY KEY,
            chain_id INTEGER NOT NULL,
            previous INTEGER NOT NULL,
            jump INTEGER NOT NULL,
            epoch INTEGER NOT NULL,
            cursor INTEGER NOT NULL,
            nonce INTEGER NOT NULL,
            endpoint INTEGER NOT NULL,
            value BLOB NOT NULL,
            fields BLOB NOT NULL,
            items BLOB,
            created INTEGER NOT NULL
          ) STRICT;
          CREATE TABLE test_outcomes (
            id INTEGER PRIMARY KEY,
            account_id INTEGER NOT NULL,
            digest BLOB NOT NULL,
            client_seed BLOB NOT NULL,
            server_hash BLOB NOT NULL,
            endpoint INTEGER NOT NULL,
            value BLOB NOT NULL,
            fields BLOB NOT NULL,
            items BLOB,
            created INTEGER NOT NULL,
            UNIQUE (account_id, digest)
          ) STRICT;
          CREATE INDEX test_outcomes_by_seed ON test_outcomes (account_id, client_seed, id);

          -- How outcomes were written in answers: see Rendering.
          CREATE TABLE renderings (
            id INTEGER PRIMARY KEY,
            format INTEGER NOT NULL,
            public_url TEXT NOT NULL,
            UNIQUE (format, public_url)
          ) STRICT;

          -- digest stands for account, mode and key, and makes the claim of one exclusive. See StoredAnswer for answer.
          CREATE TABLE idempotency (
            id INTEGER PRIMARY KEY,
            digest BLOB NOT NULL UNIQUE,
            request INTEGER NOT NULL,
            fingerprint BLOB NOT NULL,
            status INTEGER NOT NULL,
            answer BLOB NOT NULL,
            created INTEGER NOT NULL
          ) STRICT;

          -- account_id 0 counts what anonymous callers drew.
          CREATE TABLE usage (
            account_id INTEGER NOT NULL,
            day INTEGER NOT NULL,
            endpoint INTEGER NOT NULL,
            count INTEGER NOT NULL,
            PRIMARY KEY (account_id, day, endpoint)
          ) WITHOUT ROWID, STRICT;
          """)
    }
    migrator.registerMigration("2") { db in
      try db.execute(
        sql: """
          -- Server seeds that are no secret any more, as their 64 characters. A chain's row holds the seed of its current
          -- epoch, these the others. A revealed commitment's chain has one epoch, which is in both.
          CREATE TABLE revealed_seeds (
            chain_id INTEGER NOT NULL,
            era INTEGER NOT NULL,
            epoch INTEGER NOT NULL,
            server_seed BLOB NOT NULL,
            server_hash BLOB NOT NULL,
            cursor INTEGER NOT NULL,
            nonce INTEGER NOT NULL,
            revealed INTEGER NOT NULL,
            PRIMARY KEY (chain_id, epoch)
          ) WITHOUT ROWID, STRICT;

          -- A commitment becomes a chain of one outcome when it is revealed: chain_id is set aside for that chain, whose
          -- owner_id is -chain_id. Its own owner_id is whose it is: see ChainOwner. The last three say what became of it.
          CREATE TABLE commitments (
            chain_id INTEGER PRIMARY KEY,
            commit_id BLOB NOT NULL UNIQUE,
            owner_id INTEGER NOT NULL,
            sealed_seed BLOB NOT NULL,
            server_hash BLOB NOT NULL,
            created INTEGER NOT NULL,
            expires INTEGER NOT NULL,
            outcome_id INTEGER,
            client_seed BLOB,
            revealed INTEGER
          ) STRICT;
          -- What is swept, by when it may be.
          CREATE INDEX commitments_open ON commitments (expires) WHERE revealed IS NULL;

          -- Who holds a server hash may ask whether it is known here.
          CREATE INDEX chains_by_hash ON chains (server_hash);
          CREATE INDEX revealed_seeds_by_hash ON revealed_seeds (server_hash);
          CREATE INDEX test_outcomes_by_hash ON test_outcomes (server_hash);
          """)
    }
    migrator.registerMigration("3") { db in
      try db.execute(
        sql: """
          -- The daily log. A day's row is made when the day is sealed: from then on nothing is recorded before its end. Its
          -- other columns are filled in once, when it is published; the root stays NULL for a day without outcomes.
          CREATE TABLE merkle_days (
            day INTEGER PRIMARY KEY,
            root BLOB,
            leaf_count INTEGER,
            previous_root BLOB,
            signature BLOB,
            published INTEGER
          ) STRICT;

          -- Up to 256 neighbouring hashes of one level of a day's tree.
          CREATE TABLE merkle_tiles (
            day INTEGER NOT NULL,
            level INTEGER NOT NULL,
            number INTEGER NOT NULL,
            hashes BLOB NOT NULL,
            PRIMARY KEY (day, level, number)
          ) STRICT;

          -- Where in its day's tree an outcome stands.
          CREATE TABLE merkle_leaves (
            outcome_id INTEGER PRIMARY KEY,
            leaf INTEGER NOT NULL
          ) STRICT;
          """)
    }
    migrator.registerMigration("4") { db in
      try db.execute(
        sql: """
          CREATE TABLE webhook_endpoints (
            id INTEGER PRIMARY KEY,
            account_id INTEGER NOT NULL REFERENCES accounts (id),
            url TEXT NOT NULL,
            sealed_secret BLOB NOT NULL,
            -- The secret before, which signs too until old_expires.
            sealed_old_secret BLOB,
            old_expires INTEGER,
            created INTEGER NOT NULL,
            disabled INTEGER,
            disabled_reason TEXT,
            -- When the first attempt failed since the last that succeeded.
            failing_since INTEGER,
            -- See WebhookEvents.
            events INTEGER NOT NULL,
            -- A deleted endpoint's row goes when its last delivery has gone, so that its id is never given out again.
            deleted INTEGER
          ) STRICT;
          CREATE INDEX webhook_endpoints_by_account ON webhook_endpoints (account_id);

          -- One event for one endpoint; what it says is in the outcome, or in data. Both are NULL for a test event. state
          -- is 1 pending, 2 delivered, 3 dead. While pending, due is when it may be claimed: a claim moves it to its own end.
          CREATE TABLE deliveries (
            -- No number is given out again after its row was swept.
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            endpoint_id INTEGER NOT NULL,
            outcome_id INTEGER,
            -- See WebhookEvents; and what an event says that is no outcome's.
            event INTEGER,
            data BLOB,
            created INTEGER NOT NULL,
            due INTEGER,
            state INTEGER NOT NULL DEFAULT 1,
            attempts INTEGER NOT NULL DEFAULT 0,
            -- When its 72 hours began, if that is not when it was made.
            resent INTEGER,
            claim INTEGER,
            expires INTEGER
          ) STRICT;
          CREATE INDEX deliveries_due ON deliveries (endpoint_id, due) WHERE due IS NOT NULL;
          CREATE INDEX deliveries_expired ON deliveries (expires) WHERE expires IS NOT NULL;

          CREATE TABLE delivery_attempts (
            delivery_id INTEGER NOT NULL,
            number INTEGER NOT NULL,
            at INTEGER NOT NULL,
            status INTEGER,
            latency INTEGER NOT NULL,
            error TEXT,
            answer BLOB NOT NULL,
            PRIMARY KEY (delivery_id, number)
          ) WITHOUT ROWID, STRICT;
          """)
    }
    migrator.registerMigration("5") { db in
      try db.execute(
        sql: """
          ALTER TABLE api_keys ADD COLUMN name TEXT NOT NULL DEFAULT '';
          CREATE INDEX api_keys_by_account ON api_keys (account_id);

          -- A deleted account keeps its row, and so do its keys, emptied: no number is ever given out again, and chains
          -- and test outcomes go on being somebody's. Its name is then a line feed and its number, which is no name.
          ALTER TABLE accounts ADD COLUMN deleted INTEGER;

          CREATE TABLE sign_ins (
            account_id INTEGER PRIMARY KEY,
            email TEXT NOT NULL UNIQUE,
            password TEXT NOT NULL
          ) STRICT;

          CREATE TABLE sessions (
            digest BLOB PRIMARY KEY,
            account_id INTEGER NOT NULL,
            created INTEGER NOT NULL,
            expires INTEGER NOT NULL
          ) WITHOUT ROWID, STRICT;
          CREATE INDEX sessions_by_account ON sessions (account_id);
          CREATE INDEX sessions_by_expiry ON sessions (expires);

          -- Apart from api_keys, whose rows the write path reads.
          CREATE TABLE key_activity (
            key_id INTEGER PRIMARY KEY,
            last_used INTEGER,
            denied INTEGER NOT NULL,
            last_denied INTEGER
          ) STRICT;

          -- What an account looks for of its own.
          CREATE INDEX commitments_revealed ON commitments (owner_id, client_seed, revealed, outcome_id)
            WHERE revealed IS NOT NULL;
          CREATE INDEX deliveries_by_endpoint ON deliveries (endpoint_id, id);
          """)
    }
    migrator.registerMigration("6") { db in
      try db.execute(
        sql: """
          -- The continuous log: see LogStore. checkpoint says what is in the first signed_size of the size entries.
          CREATE TABLE logs (
            era INTEGER PRIMARY KEY,
            origin TEXT NOT NULL,
            size INTEGER NOT NULL,
            signed_size INTEGER NOT NULL,
            checkpoint TEXT,
            keeper BLOB,
            kept_until INTEGER NOT NULL
          ) STRICT;

          -- What groups have to add, a row each, with the time of their outcomes.
          CREATE TABLE log_queue (
            id INTEGER PRIMARY KEY,
            drawn INTEGER,
            entries BLOB NOT NULL
          ) STRICT;

          CREATE TABLE log_tiles (
            era INTEGER NOT NULL,
            level INTEGER NOT NULL,
            number INTEGER NOT NULL,
            hashes BLOB NOT NULL,
            PRIMARY KEY (era, level, number)
          ) STRICT;

          -- 256 entries each: see LogEntries. An outcome's entry is found by the time when it was drawn.
          CREATE TABLE log_bundles (
            era INTEGER NOT NULL,
            number INTEGER NOT NULL,
            first_drawn INTEGER,
            last_drawn INTEGER,
            entries BLOB NOT NULL,
            PRIMARY KEY (era, number)
          ) STRICT;
          CREATE INDEX log_bundles_by_time ON log_bundles (era, last_drawn, first_drawn) WHERE last_drawn IS NOT NULL;
          """)
    }
    migrator.registerMigration("7") { db in
      try db.execute(
        sql: """
          -- What witnesses signed of the newest checkpoints, with the checkpoints: see LogStore. asked_until is when they
          -- may be asked again.
          CREATE TABLE log_cosignatures (
            era INTEGER NOT NULL,
            size INTEGER NOT NULL,
            witness TEXT NOT NULL,
            checkpoint TEXT NOT NULL,
            line TEXT NOT NULL,
            made INTEGER NOT NULL,
            PRIMARY KEY (era, size, witness)
          ) WITHOUT ROWID, STRICT;
          ALTER TABLE logs ADD COLUMN asked_until INTEGER NOT NULL DEFAULT 0;
          """)
    }
    migrator.registerMigration("8") { db in
      try db.execute(
        sql: """
          -- When the entries of a bundle were added: see LogBundle.
          ALTER TABLE log_bundles ADD COLUMN logged BLOB;

          -- How a log grew in the last hour, by the minute in Unix time: see LogMinute.
          CREATE TABLE log_growth (
            era INTEGER NOT NULL,
            minute INTEGER NOT NULL,
            first_size INTEGER NOT NULL,
            size INTEGER NOT NULL,
            last INTEGER NOT NULL,
            PRIMARY KEY (era, minute)
          ) WITHOUT ROWID, STRICT;
          """)
    }
    migrator.registerMigration("9") { db in
      try db.execute(
        sql: """
          -- What an account had drawn on a day before its first draw of an hour, 0 to 23: see NotedHours. A row is written
          -- over on another day.
          CREATE TABLE usage_hours (
            account_id INTEGER NOT NULL,
            hour INTEGER NOT NULL,
            day INTEGER NOT NULL,
            drawn INTEGER NOT NULL,
            PRIMARY KEY (account_id, hour)
          ) WITHOUT ROWID, STRICT;
          """)
    }
    migrator.registerMigration("10") { db in
      try db.execute(
        sql: """
          ALTER TABLE api_keys ADD COLUMN daily_quota INTEGER;

          -- Live outcomes of keys that have a quota of their own.
          CREATE TABLE key_usage (
            account_id INTEGER NOT NULL,
            key_id INTEGER NOT NULL,
            day INTEGER NOT NULL,
            count INTEGER NOT NULL,
            PRIMARY KEY (key_id, day)
          ) WITHOUT ROWID, STRICT;
          """)
    }
    migrator.registerMigration("11") { db in
      try db.execute(
        sql: """
          -- All outcomes of an account in the order in which they were recorded, a row for each group: see OutcomePlace.
          -- owner_id is as that of commitments.
          CREATE TABLE account_runs (
            owner_id INTEGER NOT NULL,
            number INTEGER NOT NULL,
            first INTEGER NOT NULL,
            last INTEGER NOT NULL,
            PRIMARY KEY (owner_id, number)
          ) WITHOUT ROWID, STRICT;
          """)
      try db.execute(sql: Dialect.sqlite.listRecordedOutcomes.text)
    }
    migrator.registerMigration("12") { db in
      try db.execute(
        sql: """
          -- Outcomes that another service drew: to be looked up, and nothing else. See ImportedOutcome.
          CREATE TABLE imported_outcomes (
            id INTEGER PRIMARY KEY,
            account_id INTEGER NOT NULL,
            short_id TEXT NOT NULL UNIQUE,
            client_seed BLOB NOT NULL,
            server_hash BLOB NOT NULL,
            cursor INTEGER NOT NULL,
            nonce INTEGER NOT NULL,
            endpoint INTEGER NOT NULL,
            value BLOB NOT NULL,
            fields BLOB NOT NULL,
            items BLOB,
            server_seed BLOB,
            created INTEGER NOT NULL,
            permalink TEXT,
            imported INTEGER NOT NULL
          ) STRICT;
          CREATE INDEX imported_outcomes_by_time ON imported_outcomes (account_id, client_seed, created, id);
          CREATE INDEX imported_outcomes_by_place ON imported_outcomes (account_id, client_seed, cursor, nonce);
          CREATE INDEX imported_outcomes_by_account ON imported_outcomes (account_id, id);
          CREATE INDEX imported_outcomes_by_hash ON imported_outcomes (server_hash);
          """)
    }
    // The hashes of a log's leaves are computed from log_bundles.
    migrator.registerMigration("13") { try $0.execute(sql: "DELETE FROM log_tiles WHERE level = 0") }
    return migrator
  }
}
