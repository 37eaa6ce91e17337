import Accounts
import Ledger

/// A relational database that holds the ledger. What is said to all of them in the same words is said in extensions of this
/// protocol; a store adds its driver, its schema and the statements of the hot path.
public protocol SQLDatabase: LedgerStore, AccountStore, WebhookStore, EraStore, DeliveryStore, TransparencyStore,
  LogStore, AuditStore
{
  var vault: Vault { get }
  var shortIDs: ShortIDs { get }

  /// Reads, beside whoever writes. What is read is durable.
  ///
  /// - Parameter concernsGroups: whether groups write what is read. What others write may be seen only when it is durable.
  /// - Throws: ``StoreFailure``, or the ``AdministrationError`` that `body` throws.
  func query<Result: Sendable>(
    concernsGroups: Bool, _ body: @escaping @Sendable (any SQLConnection) throws -> Result
  ) async throws -> Result

  /// Reads and writes in one transaction; nothing of it stays if `body` throws.
  ///
  /// - Parameter concernsGroups: whether it may change what groups are decided from: accounts, keys, webhooks.
  /// - Throws: as ``query(_:)``.
  func transact<Result: Sendable>(
    concernsGroups: Bool, _ body: @escaping @Sendable (any SQLConnection) throws -> Result
  ) async throws -> Result

  /// As ``transact(concernsGroups:_:)``, for webhook deliveries, which keep out of the way of changes to accounts.
  func transactDeliveries<Result: Sendable>(
    concernsGroups: Bool, _ body: @escaping @Sendable (any SQLConnection) throws -> Result
  ) async throws -> Result

  /// Reads and writes in one transaction that groups are not decided from, for a thread that has nothing else to do: it
  /// blocks.
  func transactBlocking<Result>(_ body: (any SQLConnection) throws -> Result) throws(StoreFailure) -> Result

  /// Reads, beside whoever writes, for a thread that has nothing else to do: it blocks.
  func queryBlocking<Result>(_ body: (any SQLConnection) throws -> Result) throws(StoreFailure) -> Result
}

extension SQLDatabase {
  /// Reads what groups write.
  func query<Result: Sendable>(
    _ body: @escaping @Sendable (any SQLConnection) throws -> Result
  ) async throws -> Result { try await query(concernsGroups: true, body) }

  /// As ``query(_:)``, for what is refused to nobody.
  package func read<Result: Sendable>(
    _ body: @escaping @Sendable (any SQLConnection) throws -> Result
  ) async throws(StoreFailure) -> Result {
    do {
      return try await query(body)
    } catch {
      throw StoreFailure(wrapping: error)
    }
  }

  /// As ``transact(concernsGroups:_:)``, for what groups are not decided from and is refused to nobody.
  func write<Result: Sendable>(
    _ body: @escaping @Sendable (any SQLConnection) throws -> Result
  ) async throws(StoreFailure) -> Result {
    do {
      return try await transact(concernsGroups: false, body)
    } catch {
      throw StoreFailure(wrapping: error)
    }
  }

  /// As ``transactDeliveries(concernsGroups:_:)``, for what is refused to nobody.
  func deliver<Result: Sendable>(
    concernsGroups: Bool, _ body: @escaping @Sendable (any SQLConnection) throws -> Result
  ) async throws(StoreFailure) -> Result {
    do {
      return try await transactDeliveries(concernsGroups: concernsGroups, body)
    } catch {
      throw StoreFailure(wrapping: error)
    }
  }
}
