/// Submissions that wait for a group: bounded in draws and in bytes, and shared fairly between accounts.
///
/// Each account has a line of its own, in order of arrival; all anonymous callers share one. Groups are put together by
/// deficit round robin (Shreedhar and Varghese, 1995): each turn gives a line credit for ``quantum`` bytes, and a line
/// takes submissions as long as it has credit. A large submission costs a line its next turns. So whoever has little to
/// do is in the next group, however much another account has queued.
package struct SubmissionQueue<Item: QueuedSubmission> {
  private struct Line {
    let account: AccountID
    /// Those before `head` have left.
    var items: [Item?] = []
    var head = 0
    var draws = 0
    var bytes = 0
    var credit = quantum

    var first: Item? { head < items.count ? items[head] : nil }

    mutating func removeFirst() {
      items[head] = nil
      head += 1
      if head == items.count {
        items.removeAll(keepingCapacity: true)
        head = 0
      } else if head >= 64, head > items.count / 2 {
        items.removeFirst(head)
        head = 0
      }
    }
  }

  private let limits: LedgerWriter.Limits
  /// Draws that wait.
  package private(set) var draws = 0
  /// Bytes of the submissions that wait.
  package private(set) var bytes = 0
  /// The lines that hold something, and perhaps some that do not any more.
  private var lines: [Line] = []
  private var places: [AccountID: Int] = [:]
  /// Whose turn it is.
  private var turn = 0

  /// The credit of a turn, in bytes: a dozen single draws.
  package static var quantum: Int { 16 << 10 }

  package init(limits: LedgerWriter.Limits) { self.limits = limits }

  package var isEmpty: Bool { draws == 0 }

  /// Adds `item` at the end of its account's line.
  ///
  /// - Returns: false, and nothing has changed, if the queue is full, or the account has its half of it.
  package mutating func append(_ item: Item) -> Bool {
    precondition(item.draws > 0)
    guard draws + item.draws <= limits.queuedDraws, bytes + item.bytes <= limits.queuedBytes else { return false }
    let place = place(of: item.account)
    guard lines[place].draws + item.draws <= limits.queuedDraws / 2,
      lines[place].bytes + item.bytes <= limits.queuedBytes / 2
    else { return false }
    lines[place].items.append(item)
    count(item, at: place, by: 1)
    return true
  }

  /// Removes what goes into the next group, each account's in order of arrival.
  ///
  /// - Returns: nothing only if nothing waits. A group keeps to its limits unless it is a single submission.
  package mutating func takeGroup() -> [Item] {
    var group: [Item] = []
    group.reserveCapacity(min(draws, limits.groupDraws))
    var groupDraws = 0
    var groupBytes = 0
    while !isEmpty {
      if turn >= lines.count { turn = 0 }
      guard let next = lines[turn].first else {
        remove(turn)
        continue
      }
      guard lines[turn].credit > 0 else {
        lines[turn].credit += Self.quantum
        turn += 1
        continue
      }
      groupDraws += next.draws
      groupBytes += next.bytes
      if !group.isEmpty, groupDraws > limits.groupDraws || groupBytes > limits.groupBytes { break }
      lines[turn].credit -= next.bytes
      removeFirst(at: turn)
      group.append(next)
    }
    return group
  }

  /// Removes those that arrived before `deadline`.
  package mutating func removeAll(arrivedBefore deadline: ContinuousClock.Instant) -> [Item] {
    var removed: [Item] = []
    for place in lines.indices {
      // A line is in order of arrival, so those that have waited longest are at its front.
      while let first = lines[place].first, first.arrived < deadline {
        removeFirst(at: place)
        removed.append(first)
      }
    }
    return removed
  }

  private mutating func place(of account: AccountID) -> Int {
    if let place = places[account] { return place }
    places[account] = lines.count
    lines.append(Line(account: account))
    return lines.count - 1
  }

  private mutating func removeFirst(at place: Int) {
    guard let item = lines[place].first else { return }
    lines[place].removeFirst()
    count(item, at: place, by: -1)
  }

  private mutating func count(_ item: Item, at place: Int, by sign: Int) {
    lines[place].draws += sign * item.draws
    lines[place].bytes += sign * item.bytes
    draws += sign * item.draws
    bytes += sign * item.bytes
  }

  /// Removes an empty line; the last line takes its place.
  private mutating func remove(_ place: Int) {
    places[lines[place].account] = nil
    let last = lines.removeLast()
    guard place < lines.count else { return }
    lines[place] = last
    places[last.account] = place
  }
}

/// What the queue knows of a submission.
package protocol QueuedSubmission {
  var account: AccountID { get }
  /// 1 or more.
  var draws: Int { get }
  var bytes: Int { get }
  var arrived: ContinuousClock.Instant { get }
}
