import Fairness
import Ledger

/// What account holders see and change of their own, what their sign-in needs, and what the operator's commands do.
///
/// Everything is asked for by account, so that nobody reaches what belongs to somebody else: the store reports a key of
/// another account as unknown. Where the account is optional, nil stands for all accounts; only the
/// operator's commands pass it.
///
/// Methods throw ``AdministrationError`` for what cannot be done, with a sentence for the account holder, and
/// ``StoreFailure`` when the database did not answer. What names an account throws ``AdministrationError/noAccount(_:)``
/// when there is none of that number, or it was deleted; lists are empty then.
public protocol AccountStore: Sendable {
  // MARK: Accounts

  /// Makes an account, with or without a way to sign in.
  ///
  /// - Throws: ``AdministrationError/nameTaken(_:)``, ``AdministrationError/emailTaken``.
  func createAccount(name: String, dailyQuota: Int?, signIn: SignIn?) async throws -> Account
  /// All accounts, in the order they were made.
  func accounts() async throws -> [Account]
  func account(_ id: AccountID) async throws -> Account?
  func account(named name: String) async throws -> Account?
  /// Sets what an account may draw in a UTC day; nil follows the server's setting. It counts from the next group on, on
  /// all servers, for what was drawn today too.
  func setDailyQuota(_ quota: Int?, of account: AccountID) async throws -> Account
  /// Sets or replaces an account's email address and password, and ends its sessions but the one of `keeping`.
  ///
  /// - Throws: ``AdministrationError/emailTaken``.
  func setSignIn(_ signIn: SignIn, of account: AccountID, keeping: SessionToken.Digest?) async throws
  /// Whose email address this is.
  func signIn(email: EmailAddress) async throws -> (account: AccountID, signIn: SignIn)?
  func signIn(of account: AccountID) async throws -> SignIn?
  /// Deletes an account: its sign-in, sessions, keys, webhooks and deliveries are gone at once for everybody. Its name and
  /// email address may be used again, its number and those of its keys never. What it drew is counted as anonymous draws
  /// from then on.
  ///
  /// Recorded outcomes stay, since published roots and permalinks speak of them, with their chains' seeds. Idempotency
  /// records and open commitments, which nobody can use any more, and the rows of deliveries are left to the sweeps: how
  /// long this takes does not depend on how much was drawn.
  func deleteAccount(_ id: AccountID) async throws

  // MARK: Sessions

  func createSession(_ session: Session) async throws
  /// The session of a token, unless it has expired.
  func session(_ digest: SessionToken.Digest, at now: Milliseconds) async throws -> Session?
  func endSession(_ digest: SessionToken.Digest) async throws
  /// The newest of an account's sessions that have not expired.
  func sessions(of account: AccountID, at now: Milliseconds, limit: Int) async throws -> [Session]
  /// Ends an account's sessions but the one of `keeping`.
  func endSessions(of account: AccountID, keeping: SessionToken.Digest?) async throws
  /// Deletes what has expired, a bounded number at a time.
  ///
  /// - Returns: whether there may be more.
  func sweepSessions(at now: Milliseconds) async throws -> Bool

  // MARK: Keys

  /// The cell that the database is; nil if it is none.
  func cell() async throws -> CellName?
  /// Makes the database a cell, or gives it another name while no key carries the one it has.
  ///
  /// - Throws: ``AdministrationError/anotherCell(_:)``.
  func setCell(_ cell: CellName) async throws
  /// In the order they were made, revoked ones too.
  func keys(of account: AccountID?) async throws -> [KeyReport]
  /// - Throws: ``AdministrationError/tooManyKeys`` at ``maximumKeys`` that are not revoked; ``AdministrationError/keyExists``.
  func createKey(_ key: NewAPIKey, of account: AccountID) async throws -> APIKeyRecord
  /// - Throws: ``AdministrationError/unknownKey(_:)``.
  func revokeKey(_ id: KeyID, of account: AccountID) async throws -> APIKeyRecord
  /// Sets what may be drawn with a key in a UTC day, within its account's quota; nil takes its quota away. It counts from
  /// the next group on, on all servers; draws are counted while the key has a quota.
  ///
  /// - Throws: ``AdministrationError/unknownKey(_:)``.
  func setKeyQuota(_ quota: Int?, of id: KeyID, account: AccountID) async throws -> APIKeyRecord
  /// Adds what has been noticed of keys since the last time.
  func record(_ activity: [KeyID: KeyActivity]) async throws

  // MARK: Draws

  /// Live outcomes of each day and endpoint, the latest day first; days without any are left out.
  func usage(of account: AccountID, days: ClosedRange<Day>) async throws -> [DailyUsage]
  /// Live outcomes of each hour of a day, UTC: 24 numbers. The day is the latest on which the account drew; what is known of
  /// earlier days is written over.
  func hourlyUsage(of account: AccountID, on day: Day) async throws -> [Int]
  /// The account's chains whose client seed begins with `prefix`, byte for byte, in the order of their client seeds.
  ///
  /// - Parameters:
  ///   - after: leaves out what does not come after this one.
  ///   - limit: 1 or more.
  func chains(
    of account: AccountID, prefix: [UInt8], after: ClientSeed?, limit: Int
  ) async throws -> [ChainReport]

  /// What the account drew from commitments with live keys, by client seed, the oldest of each first: a page that may end
  /// early, as ``OutcomePage`` does, and is empty only at the end.
  ///
  /// - Parameters:
  ///   - after: leaves out what does not come after this one.
  ///   - limit: 1 or more.
  func revealedOutcomes(of account: AccountID, after: Outcome?, limit: Int) async throws -> [Outcome]
  /// The server seeds of the account's chains that are no secret any more, by client seed, the oldest of each first; not
  /// those of commitments.
  ///
  /// - Parameters:
  ///   - after: leaves out what does not come after this one.
  ///   - limit: 1 or more.
  func revealedSeeds(
    of account: AccountID, after: (clientSeed: ClientSeed, seed: RevealedSeed)?, limit: Int
  ) async throws -> [(clientSeed: ClientSeed, seed: RevealedSeed)]
  /// The account's test outcomes, by client seed and then by number: a page that may end early, as ``OutcomePage`` does,
  /// and is empty only at the end.
  ///
  /// - Parameters:
  ///   - after: leaves out what does not come after this one.
  ///   - limit: 1 or more.
  func testOutcomes(
    of account: AccountID, after: (clientSeed: ClientSeed, id: Int64)?, limit: Int
  ) async throws -> [Outcome]

  /// Adds outcomes that another service drew, in one transaction. It can be repeated: what is there stays as it is.
  ///
  /// - Parameter isDryRun: whether nothing is to be written.
  /// - Returns: what became of each.
  func importOutcomes(
    _ outcomes: [ImportedOutcome], for account: AccountID, isDryRun: Bool
  ) async throws -> [ImportResult]
  /// The account's imported outcomes in the order in which they were imported: a page as ``testOutcomes(of:after:limit:)``
  /// gives one.
  ///
  /// - Parameter after: the ``Outcome/id`` of the last one before; nil for none.
  func importedOutcomes(of account: AccountID, after: Int64?, limit: Int) async throws -> [Outcome]
}

extension AccountStore {
  /// - Throws: ``AdministrationError/unknownAccount(_:)``.
  public func existingAccount(named name: String) async throws -> Account {
    guard let account = try await account(named: name) else { throw AdministrationError.unknownAccount(name) }
    return account
  }

  /// The one key that begins with `prefix`, or is it. Of a whole key only what lists show is compared.
  ///
  /// - Throws: ``AdministrationError/unknownKey(_:)``, ``AdministrationError/ambiguousPrefix(_:)``.
  public func key(beginningWith prefix: String) async throws -> APIKeyRecord {
    let found = try await keys(of: nil).map(\.key).filter {
      !prefix.isEmpty && ($0.prefix.hasPrefix(prefix) || prefix.hasPrefix($0.prefix))
    }
    let shown = NewAPIKey.prefix(of: prefix)
    guard let key = found.first else { throw AdministrationError.unknownKey(shown) }
    guard found.count == 1 else { throw AdministrationError.ambiguousPrefix(shown) }
    return key
  }
}

extension ClientSeed {
  /// The least bytes that come after everything that begins with `prefix`; nil if nothing does.
  public static func end(ofPrefix prefix: [UInt8]) -> [UInt8]? {
    guard let last = prefix.lastIndex(where: { $0 < .max }) else { return nil }
    return prefix[..<last] + [prefix[last] + 1]
  }
}

/// The most keys an account may have that are not revoked.
public let maximumKeys = 100

/// A key as its account sees it.
public struct KeyReport: Sendable, Equatable {
  public let key: APIKeyRecord
  public let activity: KeyActivity
  /// What was counted today against the key's own quota.
  public let usedToday: Int

  public init(key: APIKeyRecord, activity: KeyActivity, usedToday: Int = 0) {
    self.key = key
    self.activity = activity
    self.usedToday = usedToday
  }
}

/// How a key has been used, as far as servers have reported it; they do every few seconds.
public struct KeyActivity: Sendable, Equatable {
  /// When a request was last let in with it.
  public var lastUsed: Milliseconds?
  /// Requests it was refused for: from addresses or origins that it does not allow, or after it was revoked.
  public var denied: Int
  public var lastDenied: Milliseconds?

  public init(lastUsed: Milliseconds? = nil, denied: Int = 0, lastDenied: Milliseconds? = nil) {
    self.lastUsed = lastUsed
    self.denied = denied
    self.lastDenied = lastDenied
  }
}

/// What an account drew on one day with one endpoint.
public struct DailyUsage: Sendable, Equatable {
  public let day: Day
  public let endpoint: Endpoint
  /// Live outcomes, 1 or more.
  public let count: Int

  public init(day: Day, endpoint: Endpoint, count: Int) {
    self.day = day
    self.endpoint = endpoint
    self.count = min(count, 1 << 50)  // so that even counts that are damaged can be added up
  }
}

/// A chain as its account sees it.
public struct ChainReport: Sendable, Equatable {
  public let clientSeed: ClientSeed
  /// Of the seed that the next draw uses.
  public let serverHash: ServerHash
  /// Coordinates of the next draw.
  public let cursor: Int64
  public let nonce: Int64
  public let created: Milliseconds

  public init(
    clientSeed: ClientSeed, serverHash: ServerHash, cursor: Int64, nonce: Int64, created: Milliseconds
  ) {
    self.clientSeed = clientSeed
    self.serverHash = serverHash
    self.cursor = cursor
    self.nonce = nonce
    self.created = created
  }
}
