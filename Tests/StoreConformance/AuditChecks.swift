import Fairness
import Foundation
import Ledger
import Testing
import Transparency

extension StoreConformance {
  /// What an audit finds in a database.
  static let auditChecks = [
    StoreCheck("an audit that is interrupted after every step finds what one finds that is not") { test in
      for _ in 0..<4 {
        try test.settle((0..<200).map { draw(test.alice, "seed \($0 % 50)") })
        test.now += 1_000
      }
      try test.settle(draw(test.alice), draw(test.alice), draw(.anonymous))
      try test.settle(rotate(test.alice))
      try test.keepLog()
      // The log of these tests names another key for daily roots than the master key gives.
      let keys = "entry 0 of era 0"
      #expect(try await test.audit(isInterrupted: false).keys.sorted() == [keys])

      try test.sql("UPDATE outcomes SET nonce = nonce + 1 WHERE id = 300")
      try test.sql("UPDATE outcomes SET created = created + 500 WHERE id = 700")
      try test.sql("DELETE FROM outcomes WHERE id = 790")
      try test.sql("UPDATE revealed_seeds SET nonce = nonce + 1")
      let found = try await test.audit(isInterrupted: false)
      func fault(of id: Int64) -> String? {
        found["outcome \(String(decoding: test.decider.renderer.shortIDs.encode(id), as: UTF8.self))"]
      }
      #expect(fault(of: 300)?.contains("its nonce was changed") == true)
      #expect(fault(of: 700)?.contains("its time was changed") == true)
      #expect(fault(of: 790)?.contains("it is not recorded any more") == true)
      #expect(
        found.count { $0.key.hasPrefix("the server seed of chain ") && $0.value.contains("its nonce was changed") } == 1
      )
      #expect(found.count == 6 && found[keys] != nil && found["the log"] != nil, "\(found)")
      #expect(try await test.audit(isInterrupted: true) == found)
      // Several things can be said of the log as a whole.
      try test.sql("DELETE FROM revealed_seeds")
      let gone = try await test.audit(isInterrupted: true)["the log"]
      #expect(gone?.contains("of an outcome that") == true && gone?.contains("of a revealed server seed that") == true)
    }
  ]
}

extension StoreUnderTest {
  /// What an audit says is wrong, by what it is wrong with.
  ///
  /// - Parameter isInterrupted: whether another program goes on after each step, with the state that the one before wrote.
  fileprivate func audit(isInterrupted: Bool) async throws -> [String: String] {
    let store = try #require(store as? any AuditStore & TransparencyStore)
    func begin(_ state: LedgerAuditState) throws -> LedgerAudit {
      try LedgerAudit(
        store: store, seeds: Self.seeds, shortIDs: decider.renderer.shortIDs, masterKey: Self.masterKey, state: state)
    }
    var audit = try begin(LedgerAuditState(database: "test", scope: store.auditScope()))
    while try await audit.step() {
      guard isInterrupted else { continue }
      let written = try JSONEncoder().encode(audit.state)
      audit = try begin(JSONDecoder().decode(LedgerAuditState.self, from: written))
    }
    return Dictionary(
      audit.findings.compactMap { finding in finding.fault.map { (finding.name, $0) } }, uniquingKeysWith: { a, _ in a }
    )
  }
}
