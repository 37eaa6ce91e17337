import Ledger
import LedgerSimulation
import Testing

struct SubmissionQueueTests {
  private let quantum = Turns<AccountID, FirstComeLine<Item>>.quantum

  private struct Item: QueuedSubmission, Equatable {
    let account: AccountID
    var address: [UInt8]?
    var number = 0
    var draws = 1
    var bytes = 1000
    var arrived = ContinuousClock.now

    init(_ account: Int64, from address: Int? = nil, number: Int = 0, draws: Int = 1, bytes: Int = 1000) {
      self.account = AccountID(account)
      self.address = address.map { withUnsafeBytes(of: $0, Array.init) }
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

  @Test func groupsKeepToTheirNumberAndDrawsAndBytes() {
    let queue = queue {
      $0.groupSubmissions = 3
      $0.groupDraws = 10
      $0.groupBytes = 5000
    }
    let items = [
      Item(1, draws: 4), Item(1, draws: 6), Item(1, bytes: 4000), Item(1, bytes: 1001), Item(1, bytes: 9000),
    ]
    for item in items + [Item(1, draws: 50)] + (0..<4).map({ _ in Item(1) }) { #expect(queue.append(item)) }
    // What is larger than a group goes alone.
    var sizes: [Int] = []
    while !queue.isEmpty { sizes.append(queue.takeGroup().count) }
    #expect(sizes == [2, 1, 1, 1, 1, 3, 1])
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
    #expect(abs(large - small) <= 500_000 + 2 * quantum)
  }

  /// Among the anonymous callers as among the accounts.
  @Test(arguments: [(draws: 1, bytes: 1000), (1, 6 << 20), (50, 60_000)])
  func aFloodFromOneAddressHoldsUpNobodyElse(flood: (draws: Int, bytes: Int)) {
    let queue = queue()
    while queue.append(Item(0, from: 1, draws: flood.draws, bytes: flood.bytes)) {}
    _ = queue.takeGroup()
    for round in 0..<100 {
      while queue.append(Item(0, from: 1, draws: flood.draws, bytes: flood.bytes)) {}
      for address in 2...9 { #expect(queue.append(Item(0, from: address, number: round))) }
      #expect(queue.append(Item(1, number: round)))
      let others = queue.takeGroup().filter { $0.address != Item(0, from: 1).address }
      #expect(others.map(\.number) == Array(repeating: round, count: 9))
    }
  }

  /// However many addresses they come from, they are not served more than an account.
  @Test func anonymousCallersTogetherHaveTheShareOfOneAccount() {
    let queue = queue { $0.groupBytes = 1 << 20 }
    for number in 0..<100 { for address in 0..<50 { #expect(queue.append(Item(0, from: address, number: number))) } }
    for _ in 0..<5000 { #expect(queue.append(Item(1))) }
    var taken: [AccountID: Int] = [:]
    for _ in 0..<4 { for item in queue.takeGroup() { taken[item.account, default: 0] += item.bytes } }
    #expect(abs((taken[.anonymous] ?? 0) - (taken[AccountID(1)] ?? 0)) <= 2 * quantum)
    #expect((taken[.anonymous] ?? 0) > 1 << 20)
  }

  @Test func anAddressHasAQuarterAndAllOfThemAHalf() {
    let queue = queue {
      $0.queuedDraws = 40
      $0.queuedBytes = 100_000
    }
    #expect(queue.append(Item(0, from: 1, draws: 10)) && !queue.append(Item(0, from: 1)))
    #expect(queue.append(Item(0, from: 2, bytes: 25_000)) && !queue.append(Item(0, from: 2, bytes: 1)))
    #expect(queue.append(Item(0, from: 3, draws: 9)) && !queue.append(Item(0, from: 4)))
    #expect(queue.append(Item(1, draws: 20)))
    #expect(queue.draws == 40 && queue.bytes == 28_000)
  }

  /// Lines are bounded in number by the draws that wait: none is kept for those who have left.
  @Test func linesThatAreEmptyAreNotKept() {
    var turns = Turns<Int, FirstComeLine<Item>>()
    func append(_ key: Int) -> Bool {
      turns.append(Item(0, from: key), to: key) {
        $0.append(Item(0, from: key))
        return true
      }
    }
    for round in 0..<20 {
      for key in 0..<100 { #expect(append(100 * round + key)) }
      if round.isMultiple(of: 2) {
        while turns.first() != nil { turns.removeFirst() }
      } else {
        #expect(turns.removeAll(arrivedBefore: .now + .seconds(1)).count == 100)
      }
      #expect(turns.lines <= 1)
      #expect(!turns.append(Item(0), to: -1) { _ in false })
      #expect(turns.lines <= 1)
    }
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
    var waiting: [[UInt8]: [Int]] = [:]
    func line(_ item: Item) -> [UInt8] { item.address ?? [UInt8(item.account.rawValue)] }
    func leave(_ items: [Item]) {
      for item in items {
        let expected = waiting[line(item)]?.removeFirst()
        #expect(expected == item.number)
      }
    }
    var next = 0
    for _ in 0..<20_000 {
      switch random.int(1...100) {
      case ...80:
        let isAnonymous = random.chance(50)
        let item = Item(
          isAnonymous ? 0 : Int64(random.int(1...30)), from: isAnonymous ? random.int(1...30) : nil, number: next,
          draws: random.int(1...5), bytes: random.chance(2) ? 200_000 : random.int(100...5000))
        if queue.append(item) { waiting[line(item), default: []].append(next) }
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
