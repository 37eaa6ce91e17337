import Foundation
import SQLStore

/// The database's tables, version by version. A migration that has shipped is never edited.
///
/// A table's primary key begins with what a database that spreads rows over machines would spread them by: the account,
/// the owner of a chain, or an outcome's number. Statements keep to what PostgreSQL, CockroachDB, YugabyteDB and Citus have in common where
/// they can.
enum PostgresSchema {
  /// Brings the tables up to date. Of servers that start together one does it, and the others wait. Nothing is made if they
  /// are, so that a user who may only read and write rows can serve.
  ///
  /// - Throws: ``PostgresFailure``, `NewerDatabase`.
  static func migrate(_ session: PostgresSession) throws {
    let isUpToDate = try session.use { connection in
      let exists = try connection.run([Query("SELECT to_regclass('migrations') IS NOT NULL")])[0].bytes(0, 0) == [1]
      return try exists && known(connection) == migrations.count
    }
    guard !isUpToDate else { return }
    try session.transaction { connection in
      // Held to the end of the transaction. The number has no meaning, but must stay: servers of other versions use it.
      try connection.run(
        [
          Query("SET LOCAL lock_timeout = '60s'"),
          Query("SET LOCAL statement_timeout = 0"),
          Query("SELECT pg_advisory_xact_lock(7377296384839377271)"),
          Query("SET LOCAL client_min_messages = warning"),
          Query("CREATE TABLE IF NOT EXISTS migrations (version bigint PRIMARY KEY)"),
        ], timeout: .seconds(70))
      for version in Int(try known(connection))..<migrations.count {
        for (number, sql) in migrations[version].split(separator: ";\n").enumerated() {
          let statement = PostgresStatement(name: "migration-\(version)-\(number)", sql: String(sql))
          try connection.run([Query(statement)], timeout: .seconds(3600))
        }
        try connection.run([Query("INSERT INTO migrations (version) VALUES ($1)") { $0.bind(Int64(version + 1)) }])
      }
    }
  }

  /// How many migrations the database has had.
  private static func known(_ connection: Connection) throws -> Int64 {
    let version = try connection.run([Query("SELECT coalesce(max(version), 0) FROM migrations")])[0].integer(0, 0)
    guard version <= migrations.count else { throw NewerDatabase() }
    return version
  }

  /// Statements end with a semicolon at the end of a line, and nothing else does.
  private static let migrations = [
    """
    CREATE TABLE meta (
      name text COLLATE "C" PRIMARY KEY,
      value bytea NOT NULL
    );

    -- Eras after the first, which is 0: see ChainSeeds.
    CREATE TABLE eras (
      number bigint PRIMARY KEY,
      begun bigint NOT NULL,
      reason text NOT NULL
    );

    -- Where numbers are set aside, many at a time: the next free one of each kind. Some are never used.
    CREATE TABLE counters (
      name text COLLATE "C" PRIMARY KEY,
      next bigint NOT NULL
    );
    INSERT INTO counters (name, next) VALUES ('accounts', 1), ('api_keys', 1), ('chains', 1), ('outcomes', 1);

    CREATE TABLE accounts (
      id bigint PRIMARY KEY,
      name text COLLATE "C" NOT NULL UNIQUE,
      daily_quota bigint,
      created bigint NOT NULL
    );

    CREATE TABLE api_keys (
      account_id bigint NOT NULL REFERENCES accounts (id),
      id bigint NOT NULL,
      hash bytea NOT NULL UNIQUE,
      prefix text COLLATE "C" NOT NULL,
      mode smallint NOT NULL,
      allowed_networks text NOT NULL,
      allowed_referers text NOT NULL,
      -- See KeyScopes.
      scopes bigint NOT NULL,
      created bigint NOT NULL,
      revoked bigint,
      PRIMARY KEY (account_id, id)
    );

    -- owner_id is an account's id, 0 for the chains anonymous callers share, or -id for a commitment's. moved is when
    -- it last moved: what happens to it next must not be earlier. trail leads to its outcomes: see OutcomeTrail. Room is
    -- left on the pages, so that a move rewrites a row in its place.
    CREATE TABLE chains (
      owner_id bigint NOT NULL,
      client_seed bytea NOT NULL,
      id bigint NOT NULL,
      era bigint NOT NULL,
      epoch bigint NOT NULL,
      server_hash bytea NOT NULL,
      cursor bigint NOT NULL,
      nonce bigint NOT NULL,
      created bigint NOT NULL,
      moved bigint NOT NULL,
      trail bytea NOT NULL,
      PRIMARY KEY (owner_id, client_seed)
    ) WITH (fillfactor = 60);
    CREATE UNIQUE INDEX chains_by_id ON chains (owner_id, id);
    CREATE INDEX chains_by_hash ON chains (server_hash);

    -- Server seeds that are no secret any more, as their 64 characters. A chain's row holds the hash of its current
    -- epoch, these the others. A revealed commitment's chain has one epoch, which is in both.
    CREATE TABLE revealed_seeds (
      owner_id bigint NOT NULL,
      chain_id bigint NOT NULL,
      era bigint NOT NULL,
      epoch bigint NOT NULL,
      server_seed bytea NOT NULL,
      server_hash bytea NOT NULL,
      cursor bigint NOT NULL,
      nonce bigint NOT NULL,
      revealed bigint NOT NULL,
      PRIMARY KEY (owner_id, chain_id, epoch)
    );
    CREATE INDEX revealed_seeds_by_hash ON revealed_seeds (server_hash);

    -- A commitment becomes a chain of one outcome when it is revealed: chain_id is set aside for that chain, whose
    -- owner_id is -chain_id. Its own owner_id is whose it is: see ChainOwner. The last three say what became of it.
    CREATE TABLE commitments (
      owner_id bigint NOT NULL,
      chain_id bigint NOT NULL,
      commit_id uuid NOT NULL UNIQUE,
      sealed_seed bytea NOT NULL,
      server_hash bytea NOT NULL,
      created bigint NOT NULL,
      expires bigint NOT NULL,
      outcome_id bigint,
      client_seed bytea,
      revealed bigint,
      PRIMARY KEY (owner_id, chain_id)
    );
    -- What is swept, by when it may be.
    CREATE INDEX commitments_open ON commitments (expires) WHERE revealed IS NULL;
    -- What a caller looks for of its own.
    CREATE INDEX commitments_revealed ON commitments (owner_id, client_seed, revealed, outcome_id)
      WHERE revealed IS NOT NULL;

    -- The largest table, so it has one index, which grows at its end. previous and jump are rows of the same chain, or 0:
    -- see OutcomeTrail. That no coordinate is used twice is seen to where a chain moves.
    CREATE TABLE outcomes (
      id bigint PRIMARY KEY,
      owner_id bigint NOT NULL,
      chain_id bigint NOT NULL,
      previous bigint NOT NULL,
      jump bigint NOT NULL,
      cursor bigint NOT NULL,
      nonce bigint NOT NULL,
      epoch bigint NOT NULL,
      created bigint NOT NULL,
      endpoint smallint NOT NULL,
      value bytea NOT NULL,
      fields bytea NOT NULL,
      items bytea
    );

    -- Servers take their numbers in blocks, so ids do not rise with time; outcomes of a time are found by this. Each group
    -- says when it was, and between which numbers its outcomes are.
    CREATE TABLE outcome_runs (
      created bigint NOT NULL,
      first bigint NOT NULL,
      last bigint NOT NULL,
      PRIMARY KEY (created, first)
    );

    CREATE TABLE test_outcomes (
      account_id bigint NOT NULL,
      digest bytea NOT NULL,
      id bigint NOT NULL,
      client_seed bytea NOT NULL,
      server_hash bytea NOT NULL,
      endpoint smallint NOT NULL,
      value bytea NOT NULL,
      fields bytea NOT NULL,
      items bytea,
      created bigint NOT NULL,
      PRIMARY KEY (account_id, digest)
    );
    CREATE INDEX test_outcomes_by_seed ON test_outcomes (account_id, client_seed, id);
    CREATE INDEX test_outcomes_by_id ON test_outcomes (id);
    CREATE INDEX test_outcomes_by_hash ON test_outcomes (server_hash);

    -- How outcomes were written in answers: see Rendering.
    CREATE TABLE renderings (
      id bigint PRIMARY KEY,
      format bigint NOT NULL,
      public_url text COLLATE "C" NOT NULL,
      UNIQUE (format, public_url)
    );

    -- digest stands for account, mode and key, and makes the claim of one exclusive. It is 16 bytes, so a uuid, which
    -- is compared faster than a bytea. See StoredAnswer for answer. Rows may be kept for ever, so they are small: columns
    -- are in the order that leaves no gaps, and the second index has an entry for a minute, which all its rows share.
    CREATE TABLE idempotency (
      digest uuid PRIMARY KEY,
      created bigint NOT NULL,
      request smallint NOT NULL,
      status smallint NOT NULL,
      fingerprint bytea NOT NULL,
      answer bytea NOT NULL
    );
    CREATE INDEX idempotency_by_minute ON idempotency ((created / 60000));

    -- account_id 0 counts what anonymous callers drew. They have no quota, so nobody has to wait for anybody: each
    -- writer counts in a slot of its own. An account's slot is 0.
    CREATE TABLE usage (
      account_id bigint NOT NULL,
      day bigint NOT NULL,
      endpoint smallint NOT NULL,
      slot smallint NOT NULL,
      count bigint NOT NULL,
      PRIMARY KEY (account_id, day, endpoint, slot)
    ) WITH (fillfactor = 50);

    -- The daily log. A day's row is made when the day is sealed: from then on nothing is recorded before its end. Its
    -- other columns are filled in once, when it is published; the root stays NULL for a day without outcomes.
    CREATE TABLE merkle_days (
      day bigint PRIMARY KEY,
      root bytea,
      leaf_count bigint,
      previous_root bytea,
      signature bytea,
      published bigint
    );

    -- Up to 256 neighbouring hashes of one level of a day's tree.
    CREATE TABLE merkle_tiles (
      day bigint NOT NULL,
      level bigint NOT NULL,
      number bigint NOT NULL,
      hashes bytea NOT NULL,
      PRIMARY KEY (day, level, number)
    );

    -- Where in its day's tree an outcome stands.
    CREATE TABLE merkle_leaves (
      outcome_id bigint PRIMARY KEY,
      leaf bigint NOT NULL
    );
    """,
    """
    INSERT INTO counters (name, next) VALUES ('webhook_endpoints', 1);

    -- sealed_old_secret signs too, until old_expires. failing_since is when the first attempt failed since the last that
    -- succeeded. A deleted endpoint keeps its row, for the sake of its deliveries.
    CREATE TABLE webhook_endpoints (
      id bigint PRIMARY KEY,
      account_id bigint NOT NULL REFERENCES accounts (id),
      url text NOT NULL,
      sealed_secret bytea NOT NULL,
      sealed_old_secret bytea,
      old_expires bigint,
      created bigint NOT NULL,
      disabled bigint,
      disabled_reason text,
      failing_since bigint,
      -- See WebhookEvents.
      events bigint NOT NULL,
      deleted bigint
    );
    CREATE INDEX webhook_endpoints_by_account ON webhook_endpoints (account_id, id);

    -- One event for one endpoint; what it says is in the outcome, or in data (event: see WebhookEvents). Both are NULL
    -- for a test event. state is 1 pending, 2 delivered, 3 dead. While pending, due is when it may be claimed: a claim
    -- moves it to its own end. resent is when its 72 hours began, if that is not when it was made. Nothing refers to the
    -- endpoint's row, so that a draw takes no lock of it.
    CREATE TABLE deliveries (
      id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
      endpoint_id bigint NOT NULL,
      outcome_id bigint,
      event bigint,
      data bytea,
      created bigint NOT NULL,
      due bigint,
      state smallint NOT NULL DEFAULT 1,
      attempts bigint NOT NULL DEFAULT 0,
      resent bigint,
      claim bigint,
      expires bigint
    );
    CREATE INDEX deliveries_due ON deliveries (endpoint_id, due) WHERE due IS NOT NULL;
    CREATE INDEX deliveries_expired ON deliveries (expires) WHERE expires IS NOT NULL;

    CREATE TABLE delivery_attempts (
      delivery_id bigint NOT NULL,
      number bigint NOT NULL,
      at bigint NOT NULL,
      status bigint,
      latency bigint NOT NULL,
      error text,
      answer bytea NOT NULL,
      PRIMARY KEY (delivery_id, number)
    );
    """,
    """
    ALTER TABLE api_keys ADD COLUMN name text NOT NULL DEFAULT '';
    CREATE INDEX api_keys_by_id ON api_keys (id);

    -- A deleted account keeps its row, and so do its keys, emptied: chains and test outcomes go on being somebody's. Its
    -- name is then a line feed and its number, which is no name.
    ALTER TABLE accounts ADD COLUMN deleted bigint;

    CREATE TABLE sign_ins (
      account_id bigint PRIMARY KEY,
      email text COLLATE "C" NOT NULL UNIQUE,
      password text NOT NULL
    );

    CREATE TABLE sessions (
      digest bytea PRIMARY KEY,
      account_id bigint NOT NULL,
      created bigint NOT NULL,
      expires bigint NOT NULL
    );
    CREATE INDEX sessions_by_account ON sessions (account_id);
    CREATE INDEX sessions_by_expiry ON sessions (expires);

    -- Apart from api_keys, whose rows groups read.
    CREATE TABLE key_activity (
      key_id bigint PRIMARY KEY,
      last_used bigint,
      denied bigint NOT NULL,
      last_denied bigint
    );

    -- An account looks for its own, the newest first.
    CREATE INDEX deliveries_by_endpoint ON deliveries (endpoint_id, id);
    """,
    """
    -- The continuous log: see LogStore. checkpoint says what is in the first signed_size of the size entries.
    CREATE TABLE logs (
      era bigint PRIMARY KEY,
      origin text NOT NULL,
      size bigint NOT NULL,
      signed_size bigint NOT NULL,
      checkpoint text,
      keeper bytea,
      kept_until bigint NOT NULL
    );

    -- What groups have to add, a row each, with the time of their outcomes.
    CREATE TABLE log_queue (
      id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
      drawn bigint,
      entries bytea NOT NULL
    );

    -- Hashes do not compress.
    CREATE TABLE log_tiles (
      era bigint NOT NULL,
      level bigint NOT NULL,
      number bigint NOT NULL,
      hashes bytea NOT NULL,
      PRIMARY KEY (era, level, number)
    );
    ALTER TABLE log_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;

    -- 256 entries each: see LogEntries. An outcome's entry is found by the time when it was drawn.
    CREATE TABLE log_bundles (
      era bigint NOT NULL,
      number bigint NOT NULL,
      first_drawn bigint,
      last_drawn bigint,
      entries bytea NOT NULL,
      PRIMARY KEY (era, number)
    );
    ALTER TABLE log_bundles ALTER COLUMN entries SET STORAGE EXTERNAL;
    ALTER TABLE log_queue ALTER COLUMN entries SET STORAGE EXTERNAL;
    CREATE INDEX log_bundles_by_time ON log_bundles (era, last_drawn, first_drawn) WHERE last_drawn IS NOT NULL;
    """,
    """
    -- What witnesses signed of the newest checkpoints, with the checkpoints: see LogStore. asked_until is when they may be
    -- asked again.
    CREATE TABLE log_cosignatures (
      era bigint NOT NULL,
      size bigint NOT NULL,
      witness text COLLATE "C" NOT NULL,
      checkpoint text NOT NULL,
      line text NOT NULL,
      made bigint NOT NULL,
      PRIMARY KEY (era, size, witness)
    );
    ALTER TABLE logs ADD COLUMN asked_until bigint NOT NULL DEFAULT 0;
    """,
    """
    -- When the entries of a bundle were added: see LogBundle.
    ALTER TABLE log_bundles ADD COLUMN logged bytea;

    -- How a log grew in the last hour, by the minute in Unix time: see LogMinute.
    CREATE TABLE log_growth (
      era bigint NOT NULL,
      minute bigint NOT NULL,
      first_size bigint NOT NULL,
      size bigint NOT NULL,
      last bigint NOT NULL,
      PRIMARY KEY (era, minute)
    );
    """,
    """
    -- What an account had drawn on a day before its first draw of an hour, 0 to 23: see NotedHours. A row is written over
    -- on another day.
    CREATE TABLE usage_hours (
      account_id bigint NOT NULL,
      hour bigint NOT NULL,
      day bigint NOT NULL,
      drawn bigint NOT NULL,
      PRIMARY KEY (account_id, hour)
    );
    """,
    """
    ALTER TABLE api_keys ADD COLUMN daily_quota bigint;

    -- Live outcomes of keys that have a quota of their own.
    CREATE TABLE key_usage (
      account_id bigint NOT NULL,
      key_id bigint NOT NULL,
      day bigint NOT NULL,
      count bigint NOT NULL,
      PRIMARY KEY (account_id, key_id, day)
    ) WITH (fillfactor = 50);
    """,
    """
    -- All outcomes of an account in the order in which they were recorded, a row for each group: see OutcomePlace. owner_id
    -- is as that of commitments.
    CREATE TABLE account_runs (
      owner_id bigint NOT NULL,
      number bigint NOT NULL,
      first bigint NOT NULL,
      last bigint NOT NULL,
      PRIMARY KEY (owner_id, number)
    );

    \(Dialect.postgres.listRecordedOutcomes.text)
    """,
    importedOutcomes,
    "DELETE FROM log_tiles WHERE level = 0",  // the hashes of a log's leaves are computed from log_bundles
  ]
}
