/// Submissions that wait for a group: bounded in draws and in bytes, and shared fairly.
///
/// Each account has a line of its own, in order of arrival. All anonymous callers share one, in which each network address
/// has a line of its own. Lines take turns: see ``Turns``. So a caller who sends little is in the next group, however much
/// another account or address has queued.
package struct SubmissionQueue<Item: QueuedSubmission> {
  private struct AccountLine: WaitingLine {
    /// Of a key's account.
    var own = FirstComeLine<Item>()
    /// Of anonymous callers.
    var addresses = Turns<[UInt8], FirstComeLine<Item>>()

    var draws: Int { own.draws + addresses.draws }
    var bytes: Int { own.bytes + addresses.bytes }

    mutating func first() -> Item? { own.first() ?? addresses.first() }

    mutating func removeFirst() { if own.draws > 0 { own.removeFirst() } else { addresses.removeFirst() } }

    mutating func removeAll(arrivedBefore deadline: ContinuousClock.Instant) -> [Item] {
      own.removeAll(arrivedBefore: deadline) + addresses.removeAll(arrivedBefore: deadline)
    }
  }

  private let limits: LedgerWriter.Limits
  private var accounts = Turns<AccountID, AccountLine>()

  /// Draws that wait.
  package var draws: Int { accounts.draws }
  /// Bytes of the submissions that wait.
  package var bytes: Int { accounts.bytes }

  package init(limits: LedgerWriter.Limits) { self.limits = limits }

  package var isEmpty: Bool { draws == 0 }

  /// Adds `item` at the end of its line.
  ///
  /// - Returns: false, and nothing has changed, if the queue is full, the account has its half of it, or an anonymous
  ///   caller's address its quarter.
  package mutating func append(_ item: Item) -> Bool {
    precondition(item.draws > 0)
    let limits = limits
    /// Whether there is room beside so much in a line that may hold one part in `part` of what the queue may.
    func fits(_ draws: Int, _ bytes: Int, in part: Int) -> Bool {
      draws + item.draws <= limits.queuedDraws / part && bytes + item.bytes <= limits.queuedBytes / part
    }
    guard fits(draws, bytes, in: 1) else { return false }
    return accounts.append(item, to: item.account) { account in
      guard fits(account.draws, account.bytes, in: 2) else { return false }
      guard item.account == .anonymous else {
        account.own.append(item)
        return true
      }
      return account.addresses.append(item, to: item.address ?? []) { address in
        guard fits(address.draws, address.bytes, in: 4) else { return false }
        address.append(item)
        return true
      }
    }
  }

  /// Removes what goes into the next group, each line's in order of arrival.
  ///
  /// - Returns: nothing only if nothing waits. A group keeps to its limits unless it is a single submission.
  package mutating func takeGroup() -> [Item] {
    var group: [Item] = []
    group.reserveCapacity(min(draws, limits.groupSubmissions))
    var groupDraws = 0
    var groupBytes = 0
    while group.count < limits.groupSubmissions, let next = accounts.first() {
      groupDraws += next.draws
      groupBytes += next.bytes
      if !group.isEmpty, groupDraws > limits.groupDraws || groupBytes > limits.groupBytes { break }
      accounts.removeFirst()
      group.append(next)
    }
    return group
  }

  /// Removes those that arrived before `deadline`.
  package mutating func removeAll(arrivedBefore deadline: ContinuousClock.Instant) -> [Item] {
    accounts.removeAll(arrivedBefore: deadline)
  }
}

/// What the queue knows of a submission.
package protocol QueuedSubmission {
  var account: AccountID { get }
  /// The network address of an anonymous caller, as ``NetworkAddress/subscriber``.
  var address: [UInt8]? { get }
  /// 1 or more.
  var draws: Int { get }
  var bytes: Int { get }
  var arrived: ContinuousClock.Instant { get }
}
