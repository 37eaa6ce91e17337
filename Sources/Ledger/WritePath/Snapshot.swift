import Fairness

/// What a group of submissions needs to see before it can be decided.
public struct Needs: Sendable {
  public private(set) var keys: Set<KeyID> = []
  /// Accounts whose state is asked for; ``AccountID/anonymous``, which has no quota of its own, may be among them.
  public private(set) var accounts: Set<AccountID> = []
  public private(set) var chains: Set<ChainKey> = []
  /// The idempotency keys of the group, each with the fingerprint of its request, or with none if there are several. Of a
  /// record with another fingerprint than its request's the body is not needed.
  public private(set) var claims: [IdempotencyScope: [UInt8]] = [:]
  public private(set) var testDraws: Set<TestDrawID> = []
  public private(set) var commitments: Set<CommitID> = []
  /// Accounts whose draws make webhook events.
  public private(set) var webhookAccounts: Set<AccountID> = []
  /// The most outcomes the group can record: how many row numbers to set aside.
  public private(set) var outcomes = 0
  /// The most chains and commitments the group can make: how many chain numbers to set aside.
  public var newChains: Int { chains.count + newCommitments }
  private var newCommitments = 0

  /// - Parameter countsAnonymous: whether draws without a key have a quota, so that their usage must be known.
  public init(of group: [Submission], countsAnonymous: Bool = false) {
    chains.reserveCapacity(group.reduce(0) { $0 + $1.weight })
    for submission in group {
      if countsAnonymous, submission.caller == .anonymous { accounts.insert(.anonymous) }
      if case .key(let key, _, _) = submission.caller { keys.insert(key) }
      if submission.caller != .anonymous {
        accounts.insert(submission.caller.account)
        if submission.caller.mode == .live { webhookAccounts.insert(submission.caller.account) }
      }
      if let claim = submission.claim,
        let other = claims.updateValue(claim.fingerprint, forKey: claim.scope), other != claim.fingerprint
      {
        claims[claim.scope] = []
      }
      let caller = submission.caller
      switch submission.operation {
      case .draw(let draw): add(draw, by: caller)
      case .batch(let entries, _):
        for case .draw(let draw, _) in entries { add(draw, by: caller) }
      case .seed(let clientSeed), .incrementCursor(let clientSeed), .rotate(let clientSeed):
        if caller.mode == .live { chains.insert(ChainKey(owner: caller.chainOwner, clientSeed: clientSeed)) }
      case .commit: newCommitments += 1
      case .reveal(let id, _):
        outcomes += 1
        commitments.insert(id)
      case .refuse: break
      }
    }
  }

  /// Each of them.
  package var all: [Need] {
    var all = accounts.map(Need.account)
    all += chains.map(Need.chain)
    all += claims.keys.map(Need.record)
    all += testDraws.map(Need.testDraw)
    all += commitments.map(Need.commitment)
    return all
  }

  /// Asks for `need` no more: the store cannot load it.
  public mutating func leaveOut(_ need: Need) {
    switch need {
    case .account(let id): accounts.remove(id)
    case .chain(let key): chains.remove(key)
    case .record(let scope): claims[scope] = nil
    case .testDraw(let id): testDraws.remove(id)
    case .commitment(let id): commitments.remove(id)
    }
  }

  private mutating func add(_ draw: DrawRequest, by caller: Caller) {
    outcomes += 1
    switch caller.mode {
    case .live: chains.insert(ChainKey(owner: caller.chainOwner, clientSeed: draw.clientSeed))
    case .test: testDraws.insert(TestDrawID(account: caller.account, draw: draw))
    }
  }
}

/// One of the things a group may need.
public enum Need: Hashable, Sendable {
  case account(AccountID)
  case chain(ChainKey)
  case record(IdempotencyScope)
  case testDraw(TestDrawID)
  case commitment(CommitID)
}

/// The state of the ledger, as far as one group's ``Needs`` go. Whoever made it holds whatever locks keep it true until
/// the group's ``Changes`` are stored.
public struct Snapshot: Sendable {
  public var now: Milliseconds
  /// Keys that exist and are not revoked.
  public var keys: Set<KeyID> = []
  /// The quotas of those that have one of their own.
  public var keyQuotas: [KeyID: KeyQuota] = [:]
  public var accounts: [AccountID: AccountQuota] = [:]
  public var chains: [ChainKey: SeedChain] = [:]
  public var records: [IdempotencyScope: IdempotencyRecord] = [:]
  public var testOutcomes: [TestDrawID: Outcome] = [:]
  public var commitments: [CommitID: Commitment] = [:]
  /// The enabled webhook endpoints of accounts that have any, in the order of their ids.
  public var webhooks: [AccountID: [WebhookSubscription]] = [:]
  /// What could not be loaded, and why. It is in none of the above, and whoever needs it is refused; the others are not.
  public var failures: [Need: StoreFailure] = [:]
  /// The first of the row numbers set aside for new outcomes.
  public var nextOutcome: Int64
  /// The first of the numbers set aside for new chains and commitments, which share one numbering.
  public var nextChain: Int64

  public init(now: Milliseconds, nextOutcome: Int64, nextChain: Int64) {
    self.now = now
    self.nextOutcome = nextOutcome
    self.nextChain = nextChain
  }
}

/// An endpoint and the types of events that it is told of.
public struct WebhookSubscription: Sendable, Equatable {
  public let endpoint: WebhookEndpointID
  public let events: WebhookEvents

  public init(_ endpoint: WebhookEndpointID, _ events: WebhookEvents = .all) {
    self.endpoint = endpoint
    self.events = events
  }
}

/// How an account stands against its quota.
public struct AccountQuota: Sendable, Equatable {
  /// The account's own quota; nil follows the server's setting.
  public var dailyQuota: Int?
  /// Live outcomes recorded in the UTC day of the snapshot.
  public var usedToday: Int

  public init(dailyQuota: Int?, usedToday: Int) {
    self.dailyQuota = dailyQuota
    self.usedToday = usedToday
  }
}

/// How a key that has a quota of its own stands against it.
public struct KeyQuota: Sendable, Equatable {
  public let dailyQuota: Int
  /// Live outcomes that were recorded for the key in the UTC day of the snapshot, since it has a quota.
  public var usedToday: Int

  public init(dailyQuota: Int, usedToday: Int) {
    self.dailyQuota = dailyQuota
    self.usedToday = usedToday
  }

  /// Why a key of this mode cannot have a quota; nil if it can.
  public static func problem(in mode: Mode) -> String? {
    mode == .test ? "only a live key can have a daily quota: test draws cost nothing" : nil
  }
}

/// What the counter of a key with a quota counts: its live outcomes on one day.
public struct KeyUsageKey: Hashable, Comparable, Sendable {
  public let account: AccountID
  public let key: KeyID
  public let day: Day

  public init(account: AccountID, key: KeyID, day: Day) {
    self.account = account
    self.key = key
    self.day = day
  }

  public static func < (a: Self, b: Self) -> Bool { (a.account, a.key, a.day) < (b.account, b.key, b.day) }
}

/// What a usage counter counts: one account's live outcomes of one endpoint on one day.
public struct UsageKey: Hashable, Sendable {
  public let account: AccountID
  public let day: Day
  public let endpoint: Endpoint

  public init(account: AccountID, day: Day, endpoint: Endpoint) {
    self.account = account
    self.day = day
    self.endpoint = endpoint
  }
}

/// What deciding a group changed. All of it becomes durable, or none.
public struct Changes: Sendable {
  /// Chains that did not exist, as the group leaves them.
  public var newChains: [SeedChain] = []
  /// Chains that did, with their new coordinates.
  public var movedChains: [SeedChain] = []
  /// Chains that did, with their new server seeds, epochs and coordinates. They are not among the moved ones.
  public var rotatedChains: [SeedChain] = []
  /// Server seeds that were told. Those of chains are not in use any more.
  public var revealedSeeds: [RevealedSeed] = []
  public var newCommitments: [Commitment] = []
  /// Commitments that were used up. Those of live callers are among the new chains, too.
  public var usedCommitments: [Commitment] = []
  public var outcomes: [Outcome] = []
  public var testOutcomes: [(id: TestDrawID, outcome: Outcome)] = []
  /// Where the outcomes of accounts are among both: those of live keys under the account's own number.
  public var runs: [ChainOwner: AccountRun] = [:]
  /// New records. One may stand in the place of an expired one of the same scope.
  public var records: [IdempotencyRecord] = []
  /// How the outcomes in the answers of new records were written.
  public var rendering = Rendering(format: 0, publicURL: "")
  /// By how much each counter rises.
  public var usage: [UsageKey: Int] = [:]
  /// The same of keys that have a quota of their own.
  public var keyUsage: [KeyUsageKey: Int] = [:]
  /// Webhook events, in the order of their outcomes.
  public var deliveries: [NewDelivery] = []
  /// Webhook events that are no outcome's.
  public var accountEvents: [NewAccountEvent] = []
  /// What the continuous log is told of all this.
  public var log = GroupLog()

  public init() {}

  public var isEmpty: Bool {
    newChains.isEmpty && movedChains.isEmpty && rotatedChains.isEmpty && newCommitments.isEmpty
      && usedCommitments.isEmpty && outcomes.isEmpty && testOutcomes.isEmpty && records.isEmpty && usage.isEmpty
  }
}

/// A decided group: one reply for each submission, in order, and what to store before any of them is sent.
public struct Decision: Sendable {
  public var replies: [Reply]
  public var changes: Changes
  /// The records that replies were taken from.
  public let replayed: [IdempotencyRecord]
  /// What a store flushes it by: see ``LedgerStore/flush(_:)``. 0 where nothing is left to do.
  public var group = 0

  public init(replies: [Reply], changes: Changes, replayed: [IdempotencyRecord] = []) {
    self.replies = replies
    self.changes = changes
    self.replayed = replayed
  }
}
