import Dispatch
import Fairness
import Synchronization

/// What a group adds to the continuous log, in order.
///
/// An outcome's entry is the digest of a text, which takes as long as drawing it. Nothing else in the group waits for the
/// digests, so those of a large group are computed beside the storing of all the rest.
public final class GroupLog: Sendable {
  /// What an entry is made from.
  enum Item: Sendable {
    case entry(LogEntry)
    /// A draw: where its outcome is in the list of the group's, and what its text says that the outcome does not have.
    case draw(Int, shortID: [UInt8], clientSeedDigest: LogDigest)
  }

  /// From so many on, another thread is woken for them. To wake one takes as long as some dozens of them.
  private static let many = 200

  private let items: [Item]
  private let outcomes: [Outcome]
  private let computed = Mutex<LogEntries?>(nil)

  init(_ items: [Item] = [], of outcomes: [Outcome] = []) { (self.items, self.outcomes) = (items, outcomes) }

  public var isEmpty: Bool { items.isEmpty }

  /// The entries. Whoever asks first computes them; others wait for that.
  public var entries: LogEntries {
    computed.withLock { computed in
      if let computed { return computed }
      var entries = LogEntries()
      entries.reserveCapacity(items.count)
      var text: [UInt8] = []
      for item in items {
        switch item {
        case .entry(let entry): entries.append(entry)
        case .draw(let place, let shortID, let clientSeedDigest):
          text.removeAll(keepingCapacity: true)
          outcomes[place].append(logText: shortID, clientSeedDigest: clientSeedDigest, to: &text)
          entries.append(.draw(LogDigest(of: text)))
        }
      }
      computed = entries
      return entries
    }
  }

  /// Has the entries computed on another thread, if there are many.
  package func begin() {
    guard items.count >= Self.many else { return }
    DispatchQueue.global(qos: .userInitiated).async { _ = self.entries }
  }
}
