import Dispatch
import Ledger
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct GroupsInFlightTests {
  private final class Answered: Sendable { let numbers = Mutex<[Int]>([]) }

  @Test func groupsAreAnsweredInTheOrderInWhichTheyWereApplied() async {
    let groups = GroupsInFlight()
    let numbers = (0..<8).map { _ in groups.enter(after: .milliseconds(1)) }
    let answered = Answered()
    await withTaskGroup(of: Void.self) { tasks in
      // The last is durable first, and each waits on a thread of its own for all before it.
      for number in numbers.reversed() {
        tasks.addTask {
          await withCheckedContinuation { continuation in
            DispatchQueue(label: "group \(number)").async {
              groups.reachedDisk()
              groups.leave(number) { answered.numbers.withLock { $0.append(number) } }
              continuation.resume()
            }
          }
        }
      }
    }
    #expect(answered.numbers.withLock { $0 } == numbers)
  }

  @Test func nobodyWaitsForADiskThatHasNothingToTake() {
    let groups = GroupsInFlight()
    groups.gather()
    let number = groups.enter(after: .seconds(600))
    groups.reachedDisk()
    groups.gather()
    groups.leave(number) {}
  }

  @Test func groupsOverlapWhereTheDiskTakesLongerThanTheWork() async throws {
    let groups = GroupsInFlight()
    func group(_ work: Duration?, disk: Duration?) -> Int {
      let number = groups.enter(after: work)
      groups.reachedDisk(after: disk)
      groups.leave(number) {}
      return number
    }
    for _ in 0..<100 { _ = group(.milliseconds(1), disk: .milliseconds(40)) }
    #expect(groups.overlapsNext() && groups.overlapsNext())
    for _ in 0..<100 { _ = group(.milliseconds(1), disk: .milliseconds(1)) }
    // Now and then one does all the same, to see whether the disk is still quick.
    var looks = 0
    let clock = ContinuousClock()
    let end = clock.now + .seconds(60)
    while looks < 2, clock.now < end {
      if groups.overlapsNext() { looks += 1 }
      // Groups that have no disk to wait for say nothing of it.
      _ = group(nil, disk: nil)
    }
    #expect(looks == 2)
    for _ in 0..<100 { _ = group(.milliseconds(1), disk: .milliseconds(40)) }
    #expect(groups.overlapsNext() && groups.overlapsNext())
  }

  /// However long groups take to apply.
  @Test func aDiskThatHangsIsWaitedForNotLong() {
    let groups = GroupsInFlight()
    _ = groups.enter(after: .seconds(600))
    groups.gather()
  }
}
