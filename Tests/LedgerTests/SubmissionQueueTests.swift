import Ledger
import Testing

struct SubmissionQueueTests {
  private struct Item: QueuedSubmission, Equatable {
    let account: AccountID
    var number = 0
    var draws = 1
    var bytes = 1000
    var arrived = ContinuousClock.now

    init(_ account: Int64, number: Int = 0, draws: Int = 1, bytes: Int = 1000) {
      self.account = AccountID(account)
      self.number = number
      self.draws = draws
      self.bytes = bytes
    }
  }

  /// A queue that may be changed in an expectation.
  @dynamicMemberLookup private final class Subject {
    private var queue: SubmissionQueue<Item>

    init(_ queue: SubmissionQueue<Item>) { self.queue = queue }

    subscript<Value>(dynamicMember path: KeyPath<SubmissionQueue<Item>, Value>) -> Value { queue[keyPath: path] }
    func append(_ item: Item) -> Bool { queue.append(item) }
    func takeGroup() -> [Item] { queue.takeGroup() }
    func removeAll(arrivedBefore deadline: ContinuousClock.Instant) -> [Item] {
      queue.removeAll(arrivedBefore: deadline)
    }
  }

  private func queue(_ change: (inout LedgerWriter.Limits) -> Void = { _ in }) -> Subject {
    var limits = LedgerWriter.Limits()
    change(&limits)
    return Subject(SubmissionQueue(limits: limits))
  }

  @Test func oneAccountIsServedInOrderOfArrival() {
    let queue = queue { $0.groupDraws = 7 }
    for number in 0..<500 { #expect(queue.append(Item(1, number: number))) }
    #expect(queue.draws == 500 && queue.bytes == 500_000)
    var served: [Int] = []
    while !queue.isEmpty {
      let group = queue.takeGroup()
      #expect((1...7).contains(group.count))
      served += group.map(\.number)
    }
    #expect(served == Array(0..<500))
    #expect(queue.draws == 0 && queue.bytes == 0 && queue.takeGroup().isEmpty)
  }

  @Test func groupsKeepToTheirDrawsAndBytes() {
    let queue = queue {
      $0.groupDraws = 10
      $0.groupBytes = 5000
    }
    let items = [
      Item(1, draws: 4), Item(1, draws: 6), Item(1, bytes: 4000), Item(1, bytes: 1001), Item(1, bytes: 9000),
    ]
    for item in items + [Item(1, draws: 50), Item(1), Item(1)] { #expect(queue.append(item)) }
    // What is larger than a group goes alone.
    var sizes: [Int] = []
    while !queue.isEmpty { sizes.append(queue.takeGroup().count) }
    #expect(sizes == [2, 1, 1, 1, 1, 2])
  }

  @Test func aFullQueueRefusesAndChangesNothing() {
    let queue = queue {
      $0.queuedDraws = 40
      $0.queuedBytes = 100_000
    }
    #expect(queue.append(Item(1, draws: 20)) && !queue.append(Item(1)))  // half of the draws
    #expect(queue.append(Item(2, bytes: 50_000)) && !queue.append(Item(2, bytes: 1)))  // half of the bytes
    #expect(!queue.append(Item(3, draws: 20)) && queue.append(Item(3, draws: 19)))  // all of the draws
    #expect(!queue.append(Item(4)))
    #expect(queue.draws == 40 && queue.bytes == 52_000)
    #expect(queue.takeGroup().count == 3)
    #expect(queue.append(Item(1)) && queue.append(Item(4)))
  }

  @Test(arguments: [(draws: 1, bytes: 1000), (1, 6 << 20), (50, 60_000)])
  func aFloodHoldsUpNobodyElse(flood: (draws: Int, bytes: Int)) {
    let queue = queue()
    while queue.append(Item(1, draws: flood.draws, bytes: flood.bytes)) {}
    _ = queue.takeGroup()
    for round in 0..<100 {
      while queue.append(Item(1, draws: flood.draws, bytes: flood.bytes)) {}
      for account in 2...9 { #expect(queue.append(Item(Int64(account), number: round))) }
      let others = queue.takeGroup().filter { $0.account != AccountID(1) }
      #expect(others.map(\.number) == Array(repeating: round, count: 8))
    }
  }

  @Test func accountsThatFloodShareByBytes() {
    let queue = queue {
      $0.queuedDraws = 1_000_000
      $0.queuedBytes = 1 << 30
      $0.groupBytes = 1 << 20
    }
    for _ in 0..<100 { #expect(queue.append(Item(1, bytes: 500_000))) }
    for _ in 0..<20_000 { #expect(queue.append(Item(2, bytes: 2500))) }
    var taken: [AccountID: Int] = [:]
    for _ in 0..<20 { for item in queue.takeGroup() { taken[item.account, default: 0] += item.bytes } }
    let (large, small) = (taken[AccountID(1)] ?? 0, taken[AccountID(2)] ?? 0)
    #expect(abs(large - small) <= 500_000 + 2 * SubmissionQueue<Item>.quantum)
  }

  @Test func thoseWhoWaitedTooLongAreRemovedWhereverTheyAre() {
    let queue = queue()
    for number in 0..<10 { for account in 1...3 { #expect(queue.append(Item(Int64(account), number: number))) } }
    let deadline = ContinuousClock.now
    #expect(queue.append(Item(2, number: 10)) && queue.append(Item(4, number: 10)))
    let removed = queue.removeAll(arrivedBefore: deadline)
    #expect(removed.count == 30)
    #expect(queue.draws == 2 && queue.bytes == 2000)
    #expect(queue.removeAll(arrivedBefore: deadline).isEmpty)
    #expect(Set(queue.takeGroup().map(\.account)) == [AccountID(2), AccountID(4)])
    #expect(queue.isEmpty)
  }

  /// Everything comes out once, in its account's order, whatever is done with the queue.
  @Test func nothingIsLostOrDoubled() {
    var random = SplitMix64(state: announcedSeed())
    let queue = queue {
      $0.queuedDraws = 3000
      $0.groupDraws = 40
      $0.groupBytes = 100_000
    }
    var waiting: [AccountID: [Int]] = [:]
    func leave(_ items: [Item]) {
      for item in items {
        let expected = waiting[item.account]?.removeFirst()
        #expect(expected == item.number)
      }
    }
    var next = 0
    for _ in 0..<20_000 {
      switch random.int(1...100) {
      case ...80:
        let item = Item(
          Int64(random.int(1...30)), number: next, draws: random.int(1...5),
          bytes: random.chance(2) ? 200_000 : random.int(100...5000))
        if queue.append(item) { waiting[item.account, default: []].append(next) }
        next += 1
      case ...99:
        leave(queue.takeGroup())
      default:
        leave(queue.removeAll(arrivedBefore: .now))
        #expect(queue.isEmpty)
      }
    }
    while !queue.isEmpty { leave(queue.takeGroup()) }
    #expect(waiting.values.allSatisfy(\.isEmpty) && queue.draws == 0 && queue.bytes == 0)
  }
}
