import Ledger

/// Which accounts have drawn in this hour, as far as a server remembers.
///
/// When an account first draws in an hour, what it has drawn on that day until then is noted in `usage_hours`: an hour's
/// draws are the difference of two such notes. So a group has more to write only for an account's first draw in an hour.
/// This is a memory only: to note something again changes nothing.
package struct NotedHours: Sendable {
  private static let length: Milliseconds = 3_600_000
  /// The most accounts that are remembered.
  private static let capacity = 100_000

  private var hour: Int64 = .min
  private var accounts: Set<AccountID> = []

  package init() {}

  /// What has to be noted for a group.
  package struct Note: Sendable {
    package let account: AccountID
    package let day: Day
    /// From 0 to 23.
    package let hour: Int64
    /// The account's draws of the day, before the group.
    package let drawn: Int
  }

  /// - Parameter snapshot: what the group was decided over.
  /// - Returns: the notes, by account.
  package func missing(for changes: Changes, over snapshot: Snapshot) -> [Note] {
    let hour = snapshot.now / Self.length
    var missing: Set<AccountID> = []
    for key in changes.usage.keys where key.account != .anonymous {
      if hour != self.hour || !accounts.contains(key.account) { missing.insert(key.account) }
    }
    guard !missing.isEmpty else { return [] }
    return missing.sorted().map {
      Note(
        account: $0, day: Day(of: snapshot.now), hour: hour % 24, drawn: snapshot.accounts[$0]?.usedToday ?? 0)
    }
  }

  /// Remembers what was noted.
  package mutating func remember(_ notes: [Note]) {
    for note in notes {
      let hour = note.day.number * 24 + note.hour
      if hour != self.hour || accounts.count >= Self.capacity { accounts.removeAll() }
      self.hour = hour
      accounts.insert(note.account)
    }
  }
}
