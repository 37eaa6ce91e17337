import Fairness

/// The number of an account, from 1.
public struct AccountID: Hashable, Comparable, Sendable {
  public let rawValue: Int64
  public init(_ rawValue: Int64) { self.rawValue = rawValue }
  public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }

  /// Whom anonymous draws are counted under. It is no account: it has no quota and owns no key.
  public static let anonymous = AccountID(0)
}

/// The number of an API key, from 1.
public struct KeyID: Hashable, Comparable, Sendable {
  public let rawValue: Int64
  public init(_ rawValue: Int64) { self.rawValue = rawValue }
  public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// Whether draws count (live) or are rehearsals, repeatable and free (test).
public enum Mode: UInt8, Sendable, CaseIterable {
  case live = 1
  case test = 2

  public var name: String { self == .live ? "live" : "test" }
  public init?(name: String) {
    guard let mode = Mode.allCases.first(where: { $0.name == name }) else { return nil }
    self = mode
  }
}

/// Who holds keys and is counted against a daily quota.
public struct Account: Sendable, Equatable {
  public let id: AccountID
  public let name: String
  /// Live outcomes allowed in a UTC day; nil follows the server's setting.
  public let dailyQuota: Int?
  public let created: Milliseconds

  /// The daily quotas that an account or a key may have.
  public static let dailyQuotas = 0...Int(Int32.max)

  public init(id: AccountID, name: String, dailyQuota: Int?, created: Milliseconds) {
    self.id = id
    self.name = name
    self.dailyQuota = dailyQuota
    self.created = created
  }
}

/// What is kept of an API key: everything but the key.
public struct APIKeyRecord: Sendable, Equatable {
  public let id: KeyID
  public let account: AccountID
  public let mode: Mode
  /// What its account calls it; perhaps empty.
  public let name: String
  /// The first characters of the key, enough to tell it from its siblings and too few to use it.
  public let prefix: String
  /// Networks it may be used from, as CIDR text; empty allows all.
  public let allowedNetworks: [String]
  /// Origins it may be used from, `scheme://host[:port]`; empty allows all.
  public let allowedReferers: [String]
  /// What it may be used for.
  public let scopes: KeyScopes
  /// Live outcomes allowed with it in a UTC day, within what its account is allowed; nil if it has no quota of its own.
  public let dailyQuota: Int?
  public let created: Milliseconds
  public let revoked: Milliseconds?

  public init(
    id: KeyID, account: AccountID, mode: Mode, name: String, prefix: String, allowedNetworks: [String],
    allowedReferers: [String], scopes: KeyScopes, dailyQuota: Int? = nil, created: Milliseconds, revoked: Milliseconds?
  ) {
    self.id = id
    self.account = account
    self.mode = mode
    self.name = name
    self.prefix = prefix
    self.allowedNetworks = allowedNetworks
    self.allowedReferers = allowedReferers
    self.scopes = scopes
    self.dailyQuota = dailyQuota
    self.created = created
    self.revoked = revoked
  }
}

/// A caller, as far as the ledger cares.
public enum Caller: Hashable, Sendable {
  case anonymous
  case key(KeyID, AccountID, Mode)
  /// An account's holder, who has signed in, or its operator: may do what a key of this mode may, and needs none.
  case holder(AccountID, Mode = .live)

  public var mode: Mode {
    switch self {
    case .anonymous: .live
    case .key(_, _, let mode), .holder(_, let mode): mode
    }
  }

  /// Whose chains the caller draws from, and whose commitments it may reveal: its account's, or the shared ones.
  public var chainOwner: ChainOwner { ChainOwner(account, mode) }

  /// The account an idempotency key and usage belong to.
  public var account: AccountID {
    switch self {
    case .anonymous: .anonymous
    case .key(_, let account, _), .holder(let account, _): account
    }
  }
}
