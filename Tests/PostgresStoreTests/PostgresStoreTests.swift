import Fairness
import Foundation
import Ledger
import PostgresStore
import StoreConformance
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(2))) struct PostgresStoreTests {
  private let cluster = Cluster.shared
  private let database = try! Cluster.shared.makeDatabase()

  private func open(_ clock: @escaping @Sendable () -> Milliseconds) throws -> PostgresStore {
    try PostgresStore(cluster.target(database), masterKey: StoreUnderTest.masterKey, clock: clock)
  }

  private func storeUnderTest() async throws -> StoreUnderTest {
    try await StoreUnderTest { try open($0) }
  }

  @Test(arguments: StoreConformance.checks) func conforms(_ check: StoreCheck) async throws {
    try await check.run { try open($0) }
  }
}
