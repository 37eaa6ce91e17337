import Fairness
import JSON
import Ledger

// Servers share the work row by row: a claim takes its rows' locks, passes over those that are locked, and lets go of them
// with its commit, from when on the lease keeps the others off.

extension SQLDatabase {
  public func exchange(
    _ results: [DeliveryResult], for claim: DeliveryClaim?
  ) async throws(StoreFailure) -> [ClaimedDelivery] {
    // Most of the time nothing is due, and to find that out takes no transaction.
    if results.isEmpty {
      guard claim != nil else { return [] }
      let isAnythingDue = try await read { connection in
        try connection.row("\(SQLStatement.dueEndpoints(by: connection.now())) LIMIT 1") != nil
      }
      guard isAnythingDue else { return [] }
    }
    return try await deliver(concernsGroups: results.contains { $0.isGone || $0.isRepeatedFailure }) {
      [vault] connection in
      let now = try connection.now()
      try connection.settle(results, at: now)
      return try claim.map { try connection.take($0, at: now, vault) } ?? []
    }
  }

  public func pendingDeliveries() async throws(StoreFailure) -> Int {
    try await read { try $0.row("SELECT count(*) AS count FROM deliveries WHERE due IS NOT NULL")?.count("count") ?? 0 }
  }

  public func sweepDeliveries() async throws(StoreFailure) -> Bool {
    let limit = 500
    return try await deliver(concernsGroups: false) { connection in
      let unlocked = connection.dialect.skippingLocked
      // The last delivery's row stays, so that no number is given out again; so does a deleted endpoint's, until then.
      let doomed = try connection.rows(
        """
        DELETE FROM deliveries WHERE id IN (
          SELECT id FROM deliveries WHERE expires <= \(connection.now()) AND id < (SELECT max(id) FROM deliveries)
          LIMIT \(limit)\(unlocked))
        RETURNING id
        """)
      _ = try connection.run(
        doomed.map { "DELETE FROM delivery_attempts WHERE delivery_id = \(try $0.integer("id"))" })
      // What a deleted endpoint left is taken up bit by bit. Any time is as good: the index by time is.
      let buried = try connection.execute(
        """
        UPDATE deliveries SET due = NULL, state = 3, claim = NULL, expires = 0 WHERE id IN (
          SELECT id FROM deliveries WHERE due >= \(Int64.min)
            AND endpoint_id IN (SELECT id FROM webhook_endpoints WHERE deleted IS NOT NULL)
          LIMIT \(limit)\(unlocked))
        """)
      return doomed.count == limit || buried == limit
    }
  }
}

extension SQLConnection {
  fileprivate func settle(_ results: [DeliveryResult], at now: Milliseconds) throws {
    // In the order of their numbers, so that no two servers wait for each other.
    let results = results.sorted { $0.delivery < $1.delivery }
    let settled = try run(results.map { .settle($0, at: now) })
    var statements: [SQLStatement] = []
    for (result, settled) in zip(results, settled) where settled.changed == 1 {
      if let attempt = result.attempt { statements += SQLStatement.record(attempt, of: result.delivery) }
    }
    let attempted = Dictionary(grouping: results.filter { $0.attempt != nil }, by: \.endpoint)
    for (endpoint, results) in attempted.sorted(by: { $0.key < $1.key }) {
      statements += SQLStatement.judge(endpoint, by: results, at: now)
    }
    // Those that are disabled now, and why.
    for row in try run(statements).flatMap(\.rows) { try tellOthers(of: row, at: now) }
  }

  /// Makes an event for the account's other endpoints of an endpoint that was disabled.
  private func tellOthers(of disabled: SQLRow, at now: Milliseconds) throws {
    let id = try disabled.integer("id")
    var data: [UInt8] = []
    data.append(text: "{\"webhookId\":\(id),\"url\":")
    data.append(jsonString: try disabled.text("url"))
    data.append(json: ",\"reason\":")
    data.append(jsonString: try disabled.text("disabled_reason"))
    data.append(json: "}")
    try execute(
      .events(.webhookDisabled, data, at: now, "AND account_id = \(try disabled.integer("account_id")) AND id <> \(id)")
    )
  }

  fileprivate func take(_ claim: DeliveryClaim, at now: Milliseconds, _ vault: Vault) throws -> [ClaimedDelivery] {
    var taken: [(id: Int64, target: WebhookTarget, claim: Int64)] = []
    var bytes = 0
    // In a new order each time, so that nobody is always last.
    for endpoint in try rows(.dueEndpoints(by: now)).shuffled() {
      guard taken.count < claim.limit, bytes < claim.bytes else { break }
      let id = WebhookEndpointID(try endpoint.integer("id"))
      let count = min(claim.allowances[id] ?? claim.perEndpoint, claim.limit - taken.count)
      guard count > 0 else { continue }
      let due = try rows(
        """
        SELECT d.id, length(d.data) AS data_bytes,
          (SELECT \(SQLStatement.outcomeBytes) FROM outcomes o WHERE o.id = d.outcome_id) AS bytes
        FROM deliveries d WHERE d.endpoint_id = \(id.rawValue) AND d.due <= \(now)
        ORDER BY d.due LIMIT \(count)\(dialect.skippingLocked)
        """)
      guard !due.isEmpty else { continue }
      let target = try WebhookTarget(row: endpoint, at: now, vault)
      for row in due where bytes < claim.bytes {
        taken.append((try row.integer("id"), target, .random(in: 1 ... .max)))
        bytes += 512 + Int(try row.optionalInteger("bytes") ?? row.optionalInteger("data_bytes") ?? 0)
      }
    }
    _ = try run(
      taken.map { "UPDATE deliveries SET due = \(now + claim.lease), claim = \($0.claim) WHERE id = \($0.id)" })
    let found = try run(
      taken.map {
        """
        SELECT d.created AS made, d.resent, d.attempts, d.outcome_id, d.event, d.data, c.owner_id < 0 AS is_reveal,
          \(dialect.outcomeColumns)
        FROM deliveries d LEFT JOIN outcomes o ON o.id = d.outcome_id LEFT JOIN \(dialect.chainOfOutcome)
        WHERE d.id = \($0.id)
        """
      })
    return try zip(taken, found).compactMap { taken, found in
      try found.rows.first.map { row in
        try ClaimedDelivery(
          id: taken.id, target: taken.target, created: row.integer("made"), resent: row.optionalInteger("resent"),
          attempts: row.integer("attempts"), claim: taken.claim
        ) {
          if let event = try row.optionalInteger("event") {
            return .account(WebhookEvents(rawValue: event), data: try row.bytes("data"))
          }
          guard try row.optionalInteger("outcome_id") != nil else { return .test }
          return try .outcome(Outcome(row: row, mode: .live).withoutItems, isReveal: row.flag("is_reveal"))
        }
      }
    }
  }
}

extension SQLStatement {
  /// Makes an event for each enabled endpoint that is told of its type.
  ///
  /// - Parameter condition: which of them, beginning with AND; perhaps empty.
  static func events(
    _ type: WebhookEvents, _ data: [UInt8], at now: Milliseconds, _ condition: SQLStatement = ""
  ) -> SQLStatement {
    """
    INSERT INTO deliveries (endpoint_id, event, data, created, due)
    SELECT id, \(type.rawValue), \(data), \(now), \(now) FROM webhook_endpoints
    WHERE disabled IS NULL AND deleted IS NULL AND events & \(type.rawValue) <> 0 \(condition) ORDER BY id
    """
  }

  /// Enabled endpoints with deliveries that are due.
  fileprivate static func dueEndpoints(by now: Milliseconds) -> SQLStatement {
    """
    SELECT * FROM webhook_endpoints e WHERE disabled IS NULL AND deleted IS NULL
      AND EXISTS (SELECT 1 FROM deliveries d WHERE d.endpoint_id = e.id AND d.due <= \(now))
    """
  }

  /// A success counts whoever reports it, anything else only under the present claim. A count of attempts that is damaged
  /// does not overflow.
  fileprivate static func settle(_ result: DeliveryResult, at now: Milliseconds) -> SQLStatement {
    let (state, due, expires): (DeliveryState, Milliseconds?, Milliseconds?) =
      switch result.verdict {
      case .delivered: (.delivered, nil, now + DeliveryRetention.delivered)
      case .retry(let at): (.pending, at, nil)
      case .dead: (.dead, nil, now + DeliveryRetention.dead)
      case .released: (.pending, now, nil)
      }
    let counts: SQLStatement = state == .delivered ? "state <> 2" : "state = 1 AND claim = \(result.claim)"
    return """
      UPDATE deliveries SET state = \(state.rawValue), due = \(due), expires = \(expires), claim = NULL,
        attempts = CASE WHEN attempts BETWEEN 0 AND 1000000 THEN attempts ELSE 0 END + \(result.attempt == nil ? 0 : 1)
      WHERE id = \(result.delivery.rawValue) AND \(counts)
      """
  }

  /// Keeps in mind since when every attempt has failed, and disables what has failed for too long.
  fileprivate static func judge(
    _ endpoint: WebhookEndpointID, by results: [DeliveryResult], at now: Milliseconds
  ) -> [SQLStatement] {
    let id = endpoint.rawValue
    func disable(because reason: String, if condition: SQLStatement) -> SQLStatement {
      """
      UPDATE webhook_endpoints SET disabled = \(now), disabled_reason = \(reason)
      WHERE id = \(id) AND disabled IS NULL AND \(condition)
      RETURNING id, account_id, url, disabled_reason
      """
    }
    let gone = results.contains(where: \.isGone) ? [disable(because: "it answered 410 Gone", if: "true")] : []
    if results.contains(where: { $0.attempt?.error == nil }) {
      return ["UPDATE webhook_endpoints SET failing_since = NULL WHERE id = \(id) AND failing_since IS NOT NULL"] + gone
    }
    let failing: SQLStatement =
      "UPDATE webhook_endpoints SET failing_since = \(now) WHERE id = \(id) AND failing_since IS NULL"
    guard results.contains(where: \.isRepeatedFailure) else { return [failing] + gone }
    let limit = now - DeliveryRetention.failing
    return [failing, disable(because: "no delivery has succeeded for five days", if: "failing_since <= \(limit)")]
      + gone
  }

  /// Adds an attempt, and deletes those that are too many then.
  fileprivate static func record(_ attempt: DeliveryAttempt, of delivery: DeliveryID) -> [SQLStatement] {
    let id = delivery.rawValue
    return [
      """
      INSERT INTO delivery_attempts (delivery_id, number, at, status, latency, error, answer)
      SELECT \(id), 1 + coalesce((
          SELECT max(number) FROM delivery_attempts WHERE delivery_id = \(id) AND number < 1000000000), 0),
        \(attempt.at), \(attempt.status), \(attempt.latency), \(attempt.error), \(attempt.answer)
      """,
      """
      DELETE FROM delivery_attempts WHERE delivery_id = \(id)
        AND number <= (SELECT max(number) FROM delivery_attempts WHERE delivery_id = \(id)) - \(DeliveryAttempt.kept)
      """,
    ]
  }
}
