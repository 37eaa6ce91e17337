import Accounts
import Ledger
import Synchronization

/// Recognises API keys. What it learns it believes for half a second, so that a revocation is seen by every server
/// within one, and most requests ask no database. Recording a draw checks the key again, under the ledger's lock.
final class KeyDirectory: Sendable {
  /// What a key turns out to be.
  enum KeyState {
    case known(KnownKey)
    case revoked(KeyID)
    /// The refusal says whether it is another cell's.
    case unknown(Refusal)
  }

  private struct Entry {
    let state: KeyState
    var checked: ContinuousClock.Instant
  }

  private let store: any LedgerStore
  /// The cell that the database is, if it is one.
  private let cell: CellName?
  /// By the key itself: it is here in memory with every request that carries it, and only its hash is ever stored.
  private let entries = Mutex(BoundedCache<String, Entry>(capacity: 20_000))
  private static let belief = Duration.milliseconds(500)
  /// No key is longer, in bytes; what is was never one, and is not remembered.
  private static let longestKey = 64

  init(store: any LedgerStore, cell: CellName?) {
    self.store = store
    self.cell = cell
  }

  /// What is believed of a key now; nil if the store would have to be asked.
  func believed(_ secret: String) -> KeyState? {
    entries.withLock { entries in
      guard let entry = entries.value(for: secret), .now - entry.checked < Self.belief else { return nil }
      return entry.state
    }
  }

  /// The key this is.
  func key(_ secret: String) async throws(StoreFailure) -> KeyState {
    guard secret.utf8.count <= Self.longestKey else { return .unknown(.invalidAPIKey) }
    let now = ContinuousClock.now
    let believed: Entry? = entries.withLock { entries in
      guard var entry = entries.value(for: secret) else { return nil }
      if now - entry.checked < Self.belief { return entry }
      // This request asks again; those that come meanwhile go by what is known. A belief is thus at most one second old,
      // unless the store does not answer, and then there is nothing to draw from either.
      entry.checked = now
      entries.insert(entry, for: secret)
      return nil
    }
    if let believed { return believed.state }
    let record = try await store.key(hash: NewAPIKey.hash(of: secret))
    let state: KeyState =
      record.map { $0.revoked == nil ? .known(KnownKey($0)) : .revoked($0.id) }
      ?? .unknown(.unknownKey(secret, in: cell))
    entries.withLock { $0.insert(Entry(state: state, checked: now), for: secret) }
    return state
  }
}

extension Refusal {
  /// The 401 for a key that the database does not have, in `cell` if that is one. Keys that were imported work in every
  /// cell, whichever name they carry.
  fileprivate static func unknownKey(_ secret: String, in cell: CellName?) -> Refusal {
    guard let other = CellName(ofKey: secret), other != cell else { return .invalidAPIKey }
    return Refusal(
      401, "The API key belongs to cell \(other), but this server is in \(cell.map { "cell \($0)" } ?? "no cell").",
      code: .wrongCell)
  }
}

/// A key that may be used, with its restrictions ready to be checked. A class, since it is passed around on every request.
final class KnownKey: Sendable {
  let record: APIKeyRecord
  private let networks: [Network]
  private let referers: [RefererPattern]

  init(_ record: APIKeyRecord) {
    self.record = record
    networks = record.allowedNetworks.compactMap(Network.init)
    referers = record.allowedReferers.compactMap(RefererPattern.init)
  }

  var caller: Caller { .key(record.id, record.account, record.mode) }

  /// - Throws: a 403 unless the key has these scopes.
  func check(_ needs: KeyScopes) throws(Refusal) {
    let missing = needs.subtracting(record.scopes)
    guard let name = missing.names.first else { return }
    throw Refusal(
      403, "This API key does not have the scope \(name), which this address needs.", code: .insufficientScope)
  }

  /// - Throws: a 403 unless the key may be used from `address` with this referer.
  func checkRestrictions(address: NetworkAddress?, referer: () -> String?) throws(Refusal) {
    // A restriction that does not parse allows nobody: the lists are compared with what was asked for, not what was understood.
    if !record.allowedNetworks.isEmpty {
      guard let address, networks.contains(where: { $0.contains(address) }) else {
        throw Refusal(403, "This API key may not be used from this address.", code: .ipNotAllowed)
      }
    }
    if !record.allowedReferers.isEmpty {
      guard let referer = referer(), referers.contains(where: { $0.allows(referer) }) else {
        throw Refusal(403, "This API key may not be used from this origin.", code: .refererNotAllowed)
      }
    }
  }
}
