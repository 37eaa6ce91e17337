import Dispatch
import Ledger
import LedgerSimulation
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct MemoryBudgetTests {
  private func budget(_ change: (inout MemoryBudget.Limits) -> Void = { _ in }) -> MemoryBudget {
    var limits = MemoryBudget.Limits()
    limits.bytes = 800
    limits.reservation = 100
    limits.waiting = 3
    limits.timeout = .seconds(3600)
    change(&limits)
    return MemoryBudget(limits: limits)
  }

  private final class Order: Sendable {
    let places = Mutex<[Int]>([])
  }

  private let holders = (1...9).map { ResourceHolder.account(AccountID($0)) }

  @Test func whatIsLetGoIsGivenBack() async throws {
    let budget = budget()
    for _ in 0..<100 {
      let reservation = try #require(await budget.reserve(for: holders[0]))
      #expect(budget.held == 100)
      reservation.shrink(to: 40)
      reservation.shrink(to: 70)
      #expect(budget.held == 40)
    }
    #expect(budget.held == 0)
  }

  @Test func readersWaitInOrderAndTooManyAreRefused() async throws {
    let budget = budget()
    var held: [MemoryBudget.Reservation] = []
    for holder in holders.prefix(8) { held.append(try #require(await budget.reserve(for: holder))) }
    let order = Order()
    await withTaskGroup(of: Void.self) { group in
      for number in 0..<3 {
        group.addTask {
          let reservation = await budget.reserve(for: .nobody)
          order.places.withLock { $0.append(reservation == nil ? -1 : number) }
        }
        await until { budget.waiting == number + 1 }
      }
      #expect(await budget.reserve(for: holders[8]) == nil, "a fourth was let wait")
      // Whoever has begun to send is not refused.
      group.addTask {
        let reservation = await budget.reserve(for: holders[8], isUnderWay: true)
        order.places.withLock { $0.append(reservation == nil ? -1 : 3) }
      }
      await until { budget.waiting == 4 }
      for number in 0..<4 {
        held.removeFirst()
        await until { order.places.withLock { $0.count } > number }
      }
    }
    #expect(order.places.withLock { $0 } == [0, 1, 2, 3])
    #expect(budget.held == 400 && budget.waiting == 0)
    held = []
    #expect(budget.held == 0)
  }

  @Test func aHolderHasHalfAndOthersPassIt() async throws {
    let budget = budget { $0.bytes = 400 }
    var greedy = [
      try #require(await budget.reserve(for: holders[0])), try #require(await budget.reserve(for: holders[0])),
    ]
    async let third = budget.reserve(for: holders[0])
    await until { budget.waiting == 1 }
    let other = try #require(await budget.reserve(for: holders[1]))
    #expect(budget.held == 300 && budget.waiting == 1)
    greedy[0].shrink(to: 10)
    #expect(budget.waiting == 1, "110 and 100 are more than half")
    greedy.removeLast()
    #expect(await third != nil)
    withExtendedLifetime(other) {}
  }

  @Test func theWaitHasAnEnd() async throws {
    let budget = budget {
      $0.bytes = 100
      $0.timeout = .milliseconds(1)
    }
    let only = try #require(await budget.reserve(for: holders[0]))
    #expect(await budget.reserve(for: holders[1]) == nil)
    #expect(budget.waiting == 0 && budget.held == 100)
    withExtendedLifetime(only) {}
    #expect(await MemoryBudget.none.reserve(for: .nobody) == nil)
  }
}
