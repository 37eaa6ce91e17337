import Fairness
import Ledger

extension SQLDatabase {
  public func idempotencyRecord(_ scope: IdempotencyScope) async throws(StoreFailure) -> IdempotencyRecord? {
    try await read { [shortIDs] connection in
      let row = try connection.row(
        """
        SELECT fingerprint, request, status, created, answer FROM idempotency
        WHERE digest = \(connection.dialect.uuidOfBytes("\(scope.digest)"))
        """)
      guard let row else { return nil }
      let stored = try StoredRecord(
        scope, fingerprint: row.bytes("fingerprint"), request: row.integer("request"), status: row.integer("status"),
        created: row.integer("created"), answer: row.bytes("answer"))
      return try connection.records([stored], shortIDs)[0].get()
    }
  }
}

extension SQLConnection {
  /// Idempotency records with their answers, which are rendered again: in one round trip for all of them. Of each, the
  /// record or what is wrong with it.
  package func records(
    _ stored: [StoredRecord], _ shortIDs: ShortIDs
  ) throws -> [Result<IdempotencyRecord, StoreFailure>] {
    let renderings = Set(stored.compactMap { $0.answer?.rendering }).sorted()
    let wanted = Mode.allCases.map { mode in
      (mode, Set(stored.filter { $0.scope.mode == mode }.flatMap { $0.answer?.outcomes ?? [] }).sorted())
    }
    let results = try run(
      renderings.map { "SELECT format, public_url FROM renderings WHERE id = \($0)" }
        + wanted.flatMap { mode, numbers in numbers.map { outcome($0, mode) } })
    var rest = results[...]
    var known: [Int64: Rendering] = [:]
    for (number, result) in zip(renderings, rest) {
      known[number] = try result.rows.first.map {
        Rendering(format: try $0.integer("format"), publicURL: try $0.text("public_url"))
      }
    }
    rest = rest.dropFirst(renderings.count)
    var outcomes: [Int64: Outcome] = [:]
    for (mode, numbers) in wanted {
      for (number, result) in zip(numbers, rest) {
        // One that is damaged is missed by whoever needs it.
        outcomes[number] = try? result.rows.first.map { try Outcome(row: $0, mode: mode) }
      }
      rest = rest.dropFirst(numbers.count)
    }
    return stored.map { stored in
      Result { () throws(StoreFailure) in
        try stored.record(with: outcomes, stored.answer?.rendering.flatMap { known[$0] }, shortIDs)
      }
    }
  }

  private func outcome(_ number: Int64, _ mode: Mode) -> SQLStatement {
    switch mode {
    case .live:
      """
      SELECT o.id AS outcome_id, \(dialect.outcomeColumns) FROM outcomes o LEFT JOIN \(dialect.chainOfOutcome)
      WHERE o.id = \(number)
      """
    case .test:
      """
      SELECT o.id AS outcome_id, \(SQLStatement.testOutcomeColumns) FROM test_outcomes o WHERE o.id = \(number)
      """
    }
  }

  /// The number of a rendering, which gets one if it has none.
  package func number(of rendering: Rendering) throws -> Int64 {
    // Another server may take the same number for another one at the same time.
    for _ in 0..<3 {
      let found = try run([
        """
        INSERT INTO renderings (id, format, public_url)
        SELECT coalesce(max(id), 0) + 1, \(rendering.format), \(rendering.publicURL) FROM renderings WHERE true
        ON CONFLICT DO NOTHING
        """,
        """
        SELECT id FROM renderings WHERE format = \(rendering.format) AND public_url = \(rendering.publicURL)
        """,
      ])
      if let row = found[1].rows.first { return try row.integer("id") }
    }
    throw StoreFailure("other servers number their renderings at the same time")
  }
}
