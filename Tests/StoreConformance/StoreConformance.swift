import Ledger
import Testing

/// What every ``LedgerStore`` has to do, as tests. A store's own test target runs them all:
///
/// ```swift
/// @Test(arguments: StoreConformance.checks) func conforms(_ check: StoreCheck) async throws {
///   let file = temporaryFile()
///   try await check.run { clock in try MyStore(file, clock: clock) } sql: { statement in … }
/// }
/// ```
public enum StoreConformance {
  public static let checks: [StoreCheck] =
    [
      groupChecks, durabilityChecks, idempotencyChecks, quotaChecks, administrationChecks, queryChecks,
      accountOutcomeChecks, seedChecks, concurrencyChecks, deliveryChecks, webhookChecks, accountChecks,
      transparencyChecks, logChecks, auditChecks, damageChecks, importChecks,
    ].flatMap(\.self)
}

/// Opens the database under test: a new and empty one the first time, the same one each time after.
public typealias StoreOpener =
  @Sendable (_ clock: @escaping @Sendable () -> Milliseconds) async throws ->
  any LedgerStore

/// One thing a store has to do.
public struct StoreCheck: Sendable, CustomTestStringConvertible {
  public let name: String
  private let body: @Sendable (StoreUnderTest) async throws -> Void

  init(_ name: String, _ body: @escaping @Sendable (StoreUnderTest) async throws -> Void) {
    self.name = name
    self.body = body
  }

  public var testDescription: String { name }

  /// Fails the current test where the store does something else.
  ///
  /// - Parameter sql: runs SQL from outside, as another program would.
  public func run(
    _ open: @escaping StoreOpener, sql: @escaping @Sendable (String) throws -> Void
  ) async throws {
    try await body(try await StoreUnderTest(sql: sql, open: open))
  }
}
