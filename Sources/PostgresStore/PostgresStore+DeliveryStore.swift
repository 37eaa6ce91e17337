import Fairness
import Foundation
import Ledger

extension PostgresStore: DeliveryStore {
  // MARK: The worker's side

  /// Servers share the work row by row: a claim takes its rows' locks, passes over those that are locked, and lets go of
  /// them with its commit, from when on the lease keeps the others off.
  public func exchange(_ results: [DeliveryResult], for claim: DeliveryClaim?) async throws(StoreFailure)
    -> [ClaimedDelivery]
  {
    // Most of the time nothing is due, and to find that out takes no transaction.
    if results.isEmpty {
      guard claim != nil, try await isAnythingDue() else { return [] }
    }
    return try await delivering.perform { [clock, vault] session in
      try session.transaction { connection in
        let now = try connection.run([Query(.readClock) { $0.bind(clock?()) }])[0].integer(0, 0)
        try Self.settle(results, at: now, on: connection)
        return try claim.map { try Self.take($0, at: now, vault, on: connection) } ?? []
      }
    }
  }

  private func isAnythingDue() async throws(StoreFailure) -> Bool {
    let now = clock?()
    return try await reading.read { try $0.run([Query(.findDueEndpoint) { $0.bind(now) }])[0].count > 0 }
  }

  private static func settle(_ results: [DeliveryResult], at now: Milliseconds, on connection: Connection) throws {
    guard !results.isEmpty else { return }
    // In the order of their numbers, so that no two servers wait for each other.
    let results = results.sorted { $0.delivery < $1.delivery }
    let settled = try connection.run(
      results.map { result in
        let (state, due, expires): (DeliveryState, Milliseconds?, Milliseconds?) =
          switch result.verdict {
          case .delivered: (.delivered, nil, now + DeliveryRetention.delivered)
          case .retry(let at): (.pending, at, nil)
          case .dead: (.dead, nil, now + DeliveryRetention.dead)
          case .released: (.pending, now, nil)
          }
        return Query(.settleDelivery) {
          $0.bind(result.delivery.rawValue)
          $0.bind(result.claim)
          $0.bind(state.rawValue)
          $0.bind(due)
          $0.bind(expires)
          $0.bind(Int64(result.attempt == nil ? 0 : 1))
        }
      })
    var queries: [Query] = []
    for (result, outcome) in zip(results, settled) where outcome.affected == 1 {
      guard let attempt = result.attempt else { continue }
      queries.append(insert(attempt, of: result.delivery))
      queries.append(
        Query(.pruneAttempts) {
          $0.bind(result.delivery.rawValue)
          $0.bind(Int64(DeliveryAttempt.kept))
        })
    }
    for result in results.sorted(by: { $0.endpoint < $1.endpoint }) {
      guard let reason = result.disabling else { continue }
      queries.append(
        Query(.disableWebhook) {
          $0.bind(result.endpoint.rawValue)
          $0.bind(now)
          $0.bind(text: reason)
        })
    }
    if !queries.isEmpty { try connection.run(queries) }
  }

  private static func insert(_ attempt: DeliveryAttempt, of delivery: DeliveryID) -> Query {
    Query(.insertAttempt) {
      $0.bind(delivery.rawValue)
      $0.bind(attempt.at)
      $0.bind(attempt.status.map(Int64.init))
      $0.bind(attempt.latency)
      // PostgreSQL's text has no NUL.
      $0.bind(text: attempt.error?.replacing("\0", with: " "))
      $0.bind(attempt.answer)
    }
  }

  private static func take(
    _ claim: DeliveryClaim, at now: Milliseconds, _ vault: Vault, on connection: Connection
  ) throws -> [ClaimedDelivery] {
    var ids: [Int64] = []
    var bytes: Int64 = 0
    let due = try connection.run([Query(.listDueEndpoints) { $0.bind(now) }])[0]
    // In a new order each time, so that nobody is always last.
    for endpoint in (0..<due.count).map({ due.integer($0, 0) }).shuffled() {
      guard ids.count < claim.limit, bytes < claim.bytes else { break }
      let allowance = claim.allowances[WebhookEndpointID(endpoint)] ?? claim.perEndpoint
      let count = min(allowance, claim.limit - ids.count)
      guard count > 0 else { continue }
      let found = try connection.run([
        Query(.lockDueDeliveries) {
          $0.bind(endpoint)
          $0.bind(now)
          $0.bind(Int64(count))
        }
      ])[0]
      for row in 0..<found.count where bytes < claim.bytes {
        ids.append(found.integer(row, 0))
        bytes += 512 + found.integer(row, 1)
      }
    }
    guard !ids.isEmpty else { return [] }
    let claims = ids.map { _ in Int64.random(in: 1 ... .max) }
    let results = try connection.run([
      Query(.claimDeliveries) {
        $0.bind(ids)
        $0.bind(claims)
        $0.bind(now + claim.lease)
      },
      Query(.loadDeliveries) { $0.bind(ids) },
      Query(.loadTargets) { $0.bind(ids) },
    ])
    let targets = targets(results[2], at: now, vault)
    let rows = results[1]
    return try (0..<rows.count).map { row in
      let place = Int(rows.integer(row, 0)) - 1
      guard claims.indices.contains(place), let target = targets[rows.integer(row, 2)] else {
        throw StoreFailure("the database gave a delivery that was not asked for")
      }
      return ClaimedDelivery(
        id: rows.integer(row, 1), target: target, created: rows.integer(row, 3), resent: rows.optionalInteger(row, 4),
        attempts: rows.integer(row, 5), claim: claims[place]
      ) { try outcome(row, of: rows) }
    }
  }

  private static func outcome(_ row: Int, of rows: QueryResult) throws -> Outcome? {
    guard let outcome = rows.optionalInteger(row, 6) else { return nil }
    guard let chain = rows.optionalInteger(row, 7) else {
      throw StoreFailure.damaged("outcome \(outcome) is not there")
    }
    return try Outcome(
      id: outcome, chain: chain, epoch: rows.integer(row, 8), cursor: rows.integer(row, 9),
      nonce: rows.integer(row, 10), endpoint: rows.integer(row, 11), stored: rows.bytes(row, 12),
      fields: rows.bytes(row, 13), items: rows.optionalBytes(row, 14), created: rows.integer(row, 15),
      clientSeed: rows.bytes(row, 16), serverHash: rows.optionalBytes(row, 17), mode: .live
    ).withoutItems
  }

  private static func targets(
    _ rows: QueryResult, at now: Milliseconds, _ vault: Vault
  ) -> [Int64: WebhookTarget] {
    var targets: [Int64: WebhookTarget] = [:]
    for row in 0..<rows.count {
      let old = rows.optionalBytes(row, 3).flatMap { old in
        rows.optionalInteger(row, 4).map { (sealed: old, expires: $0) }
      }
      let id = rows.integer(row, 0)
      targets[id] = WebhookTarget(
        endpoint: WebhookEndpointID(id), account: AccountID(rows.integer(row, 5)), url: rows.text(row, 1),
        secret: rows.bytes(row, 2), oldSecret: old, at: now, vault: vault)
    }
    return targets
  }

  public func pendingDeliveries() async throws(StoreFailure) -> Int {
    try await reading.read { Int(try $0.run([Query(.countPending)])[0].integer(0, 0)) }
  }

  public func sweepDeliveries() async throws(StoreFailure) -> Bool {
    let limit = 500
    return try await delivering.perform { session in
      try session.transaction { connection in
        let now = try connection.run([Query(.readClock) { $0.bind(self.clock?()) }])[0].integer(0, 0)
        let doomed = try connection.run([
          Query(.sweepDeliveries) {
            $0.bind(now)
            $0.bind(Int64(limit))
          }
        ])[0]
        // What a deleted endpoint left is taken up bit by bit.
        let results = try connection.run([
          Query(.deleteAttempts) { $0.bind((0..<doomed.count).map { doomed.integer($0, 0) }) },
          Query(.buryDeliveries) { $0.bind(Int64(limit)) },
        ])
        return doomed.count == limit || results[1].affected == limit
      }
    }
  }
}

extension Statement {
  fileprivate static let readClock = Statement("read-clock", "SELECT coalesce($1::bigint, \(now))")

  // MARK: The worker's side

  /// Enabled endpoints with deliveries that are due by a time.
  private static func dueEndpoints(by time: String) -> String {
    """
    SELECT e.id FROM webhook_endpoints e
    WHERE e.disabled IS NULL AND e.deleted IS NULL
      AND EXISTS (SELECT 1 FROM deliveries d WHERE d.endpoint_id = e.id AND d.due <= \(time))
    """
  }

  // The time is found once, in a query of its own, so that the index can be asked for it.
  fileprivate static let findDueEndpoint = Statement(
    "find-due-endpoint", dueEndpoints(by: "(SELECT coalesce($1::bigint, \(now)))") + " LIMIT 1")

  fileprivate static let listDueEndpoints = Statement("list-due-endpoints", dueEndpoints(by: "$1::bigint"))

  /// A success counts whoever reports it, anything else only under the present claim. $3 is the new state, and 2 is
  /// delivered.
  fileprivate static let settleDelivery = Statement(
    "settle-delivery",
    """
    UPDATE deliveries
    SET state = $3::bigint, due = $4::bigint, expires = $5::bigint, attempts = least(greatest(attempts, 0), 1000000) + $6::bigint, claim = NULL
    WHERE id = $1::bigint AND CASE WHEN $3::bigint = 2 THEN state <> 2 ELSE state = 1 AND claim = $2::bigint END
    """)

  fileprivate static let insertAttempt = Statement(
    "insert-attempt",
    """
    INSERT INTO delivery_attempts (delivery_id, number, at, status, latency, error, answer)
    SELECT $1::bigint, coalesce((
        SELECT max(number) FROM delivery_attempts WHERE delivery_id = $1::bigint AND number < 1000000000), 0) + 1,
      $2::bigint, $3::bigint, $4::bigint, $5::text, $6::bytea
    """)

  fileprivate static let pruneAttempts = Statement(
    "prune-attempts",
    """
    DELETE FROM delivery_attempts WHERE delivery_id = $1::bigint
      AND number <= (SELECT max(number) FROM delivery_attempts WHERE delivery_id = $1::bigint) - $2::bigint
    """)

  fileprivate static let disableWebhook = Statement(
    "disable-webhook",
    """
    UPDATE webhook_endpoints SET disabled = $2::bigint, disabled_reason = $3::text
    WHERE id = $1::bigint AND disabled IS NULL
    """)

  /// With what each takes in memory, about. What another server is taking just now is left to it.
  fileprivate static let lockDueDeliveries = Statement(
    "lock-due-deliveries",
    """
    SELECT d.id, coalesce(\(outcomeBytes), 0)::bigint
    FROM deliveries d LEFT JOIN outcomes o ON o.id = d.outcome_id
    WHERE d.endpoint_id = $1::bigint AND d.due <= $2::bigint ORDER BY d.due LIMIT $3::bigint
    FOR UPDATE OF d SKIP LOCKED
    """)

  fileprivate static let claimDeliveries = Statement(
    "claim-deliveries",
    """
    UPDATE deliveries d SET due = $3::bigint, claim = n.claim
    FROM unnest($1::bigint[], $2::bigint[]) AS n (id, claim) WHERE d.id = n.id
    """)

  fileprivate static let loadDeliveries = Statement(
    "load-deliveries",
    """
    SELECT n.place, d.id, d.endpoint_id, d.created, d.resent, d.attempts, d.outcome_id,
      o.chain_id, o.epoch, o.cursor, o.nonce, o.endpoint, o.value, o.fields, o.items, o.created, c.client_seed, \(outcomeHash)
    FROM unnest($1::bigint[]) WITH ORDINALITY AS n (id, place) JOIN deliveries d ON d.id = n.id
      LEFT JOIN outcomes o ON o.id = d.outcome_id
      LEFT JOIN chains c ON c.owner_id = o.owner_id AND c.id = o.chain_id
    ORDER BY n.place
    """)

  fileprivate static let loadTargets = Statement(
    "load-targets",
    """
    SELECT id, url, sealed_secret, sealed_old_secret, old_expires, account_id FROM webhook_endpoints
    WHERE id IN (SELECT endpoint_id FROM deliveries WHERE id = ANY ($1::bigint[]))
    """)

  fileprivate static let countPending = Statement(
    "count-pending", "SELECT count(*) FROM deliveries WHERE due IS NOT NULL")

  fileprivate static let sweepDeliveries = Statement(
    "sweep-deliveries",
    """
    DELETE FROM deliveries WHERE id IN (
      SELECT id FROM deliveries WHERE expires <= $1::bigint LIMIT $2::bigint FOR UPDATE SKIP LOCKED)
    RETURNING id
    """)

  fileprivate static let deleteAttempts = Statement(
    "delete-attempts", "DELETE FROM delivery_attempts WHERE delivery_id = ANY ($1::bigint[])")

  /// Gives up what is pending for deleted endpoints, so that the next sweep takes it.
  fileprivate static let buryDeliveries = Statement(
    "bury-deliveries",
    """
    UPDATE deliveries SET due = NULL, state = 3, claim = NULL, expires = 0 WHERE id IN (
      SELECT d.id FROM webhook_endpoints e JOIN deliveries d ON d.endpoint_id = e.id
      WHERE e.deleted IS NOT NULL AND d.due IS NOT NULL LIMIT $1::bigint FOR UPDATE OF d SKIP LOCKED)
    """)
}
