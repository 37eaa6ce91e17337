import Accounts
import Crypto
import Ledger
import Synchronization

/// Slows down whoever guesses: after a few failures the next attempt has to wait, each time twice as long.
///
/// An attempt is counted before it is made, so that a thousand at once are not a thousand guesses.
package final class AttemptThrottle: Sendable {
  /// Whose attempts are counted together.
  package enum Subject: Hashable, Sendable {
    /// By the SHA-256 of the address, so that each takes the same room.
    case email([UInt8])
    /// By the id in its cookie: see ``DeviceCookies``.
    case device([UInt8])
    case address([UInt8])
    case account(AccountID)
    case newAccounts([UInt8])

    package init(_ email: EmailAddress) { self = .email(Array(SHA256.hash(data: Array(email.description.utf8)))) }

    /// Failures that cost nothing. Many people may be behind one address.
    var free: Int {
      switch self {
      case .email, .device, .account, .newAccounts: 5
      case .address: 20
      }
    }

    /// Whether a success shows that the failures before it were the owner's own. It does not for an address: a guesser may
    /// have an account there too.
    var isClearedBySuccess: Bool {
      switch self {
      case .email, .device, .account: true
      case .address, .newAccounts: false
      }
    }
  }

  /// How long the next attempt has to wait.
  package struct Wait: Sendable {
    package let seconds: Int
    /// How many failures cost whoever has to wait nothing.
    let free: Int
  }

  private struct Entry {
    var failures = 0
    var last: ContinuousClock.Instant
    var blockedUntil: ContinuousClock.Instant
  }

  private static let firstWait = Duration.seconds(15)
  private static let longestWait = Duration.seconds(15 * 60)
  /// After so long without an attempt, all is forgotten.
  private static let memory = Duration.seconds(3600)

  private let entries: Mutex<BoundedCache<Subject, Entry>>

  /// - Parameter subjects: how many to keep count of; those not seen for longest are forgotten.
  package init(subjects: Int = 100_000) { entries = Mutex(BoundedCache(capacity: subjects)) }

  /// Counts an attempt, as a failure until it is known to be none.
  ///
  /// - Returns: nil if it may be made, else when it may; then nothing was counted.
  package func begin(_ subjects: [Subject], now: ContinuousClock.Instant = .now) -> Wait? {
    entries.withLock { entries in
      var counted: [(Subject, Entry)] = []
      var (wait, free) = (Duration.zero, 0)
      for subject in subjects {
        var entry = entries.value(for: subject) ?? Entry(last: now, blockedUntil: now)
        if entry.blockedUntil - now > wait { (wait, free) = (entry.blockedUntil - now, subject.free) }
        if now - max(entry.last, entry.blockedUntil) >= Self.memory { entry.failures = 0 }
        entry.failures += 1
        entry.last = now
        if entry.failures >= subject.free {
          let doublings = min(entry.failures - subject.free, 10)
          entry.blockedUntil = now + min(Self.firstWait * (1 << doublings), Self.longestWait)
        }
        counted.append((subject, entry))
      }
      if wait > .zero { return Wait(seconds: Int((wait / .seconds(1)).rounded(.up)), free: free) }
      for (subject, entry) in counted { entries.insert(entry, for: subject) }
      return nil
    }
  }

  /// The attempt was none that failed.
  package func succeeded(_ subjects: [Subject], now: ContinuousClock.Instant = .now) {
    takeBack(subjects, now: now) { $0.isClearedBySuccess }
  }

  /// The attempt could not be made: it counts for nothing.
  package func withdraw(_ subjects: [Subject], now: ContinuousClock.Instant = .now) {
    takeBack(subjects, now: now) { _ in false }
  }

  private func takeBack(_ subjects: [Subject], now: ContinuousClock.Instant, clearing: (Subject) -> Bool) {
    entries.withLock { entries in
      for subject in subjects {
        guard var entry = entries.value(for: subject) else { continue }
        entry.failures = clearing(subject) ? 0 : max(entry.failures - 1, 0)
        entry.blockedUntil = now
        entries.insert(entry, for: subject)
      }
    }
  }
}
