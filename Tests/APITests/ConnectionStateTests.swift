import API
import Ledger
import NIOCore
import Testing

@Suite struct ConnectionStateTests {
  private typealias State = ConnectionState
  private static let limits = State.Limits()

  private static func time(_ seconds: Int64) -> NIODeadline { .uptimeNanoseconds(0) + .seconds(1000 + seconds) }

  /// Looks at a state as often as it asks to be looked at, until it wants something done: what, and after how many seconds.
  private static func outcome(
    of state: inout State, from start: Int64, unsent: Int = 0, sent: (Int64) -> Int = { _ in 0 }
  ) -> (State.Action, Int64)? {
    var now = time(start)
    for _ in 0..<1000 {
      let seconds = (now - time(0)).nanoseconds / 1_000_000_000
      switch state.check(at: now, unsent: unsent, sent: sent(seconds)) {
      case .wait(let next):
        #expect(next > now && next <= now + limits.tick)
        now = next
      case let action: return (action, seconds)
      }
    }
    return nil
  }

  private static func state(after events: (inout State) -> Void = { _ in }) -> State {
    var state = State(limits: limits, now: time(0))
    events(&state)
    return state
  }

  private static func expect(
    _ outcome: (State.Action, Int64)?, _ action: State.Action, at seconds: Int64,
    _ location: SourceLocation = #_sourceLocation
  ) {
    #expect(outcome?.0 == action, sourceLocation: location)
    #expect(outcome?.1 == seconds, sourceLocation: location)
  }

  @Test func aConnectionThatSaysNothing() {
    var state = Self.state()
    Self.expect(Self.outcome(of: &state, from: 0), .close, at: 10)
  }

  @Test func aConnectionBetweenRequests() {
    var state = Self.state {
      $0.requestBegan(at: Self.time(1))
      $0.headEnded(isPersistent: true)
      $0.requestEnded(at: Self.time(1))
      $0.answerStarted(at: Self.time(2))
      $0.answerEnded(at: Self.time(2))
    }
    #expect(state.phase == .idle)
    Self.expect(Self.outcome(of: &state, from: 2), .close, at: 77)
  }

  @Test func halfAHeadAndATrickledOne() {
    var state = Self.state { $0.requestBegan(at: Self.time(5)) }
    for second in Int64(6)...9 {
      state.requestBegan(at: Self.time(second))
      #expect(state.check(at: Self.time(second), unsent: 0, sent: 0) != .refuse(.requestTimeout))
    }
    Self.expect(Self.outcome(of: &state, from: 9), .refuse(.requestTimeout), at: 15)
  }

  /// A deadline that began right after a look is noticed at the next one.
  @Test func noDeadlineIsMissedBetweenTwoLooks() {
    var state = Self.state()
    #expect(state.check(at: Self.time(0), unsent: 0, sent: 0) == .wait(until: Self.time(10)))
    state.requestBegan(at: Self.time(1))
    #expect(state.check(at: Self.time(10), unsent: 0, sent: 0) == .wait(until: Self.time(11)))
    #expect(state.check(at: Self.time(11), unsent: 0, sent: 0) == .refuse(.requestTimeout))
  }

  @Test func halfABody() {
    var state = Self.state {
      $0.requestBegan(at: Self.time(5))
      $0.headEnded(isPersistent: true)
    }
    Self.expect(Self.outcome(of: &state, from: 6), .refuse(.requestTimeout), at: 35)
  }

  @Test func theRestOfABodyThatNobodyWants() {
    var state = Self.state {
      $0.requestBegan(at: Self.time(5))
      $0.headEnded(isPersistent: true)
      $0.answerStarted(at: Self.time(6))
      $0.answerEnded(at: Self.time(6))
    }
    #expect(state.phase == .discarding)
    Self.expect(Self.outcome(of: &state, from: 6), .close, at: 35)
    state.discardingEnded(at: Self.time(7))
    #expect(state.phase == .idle)
  }

  @Test func anAnswerThatIsBeingMadeIsWaitedFor() {
    var state = Self.answering()
    #expect(Self.outcome(of: &state, from: 1) == nil)
  }

  private static func answering(started: Int64? = nil) -> State {
    state {
      $0.requestBegan(at: time(0))
      $0.headEnded(isPersistent: true)
      $0.requestEnded(at: time(1))
      if let started { $0.answerStarted(at: time(started)) }
    }
  }

  @Test func anAnswerThatNobodyReads() {
    for isEnded in [false, true] {
      var state = Self.answering(started: 2)
      if isEnded { state.answerEnded(at: Self.time(2)) }
      Self.expect(Self.outcome(of: &state, from: 2, unsent: 5000), .close, at: 32)
    }
  }

  @Test func anAnswerThatIsReadSlowlyHasItsTime() {
    var state = Self.answering(started: 2)
    state.answerEnded(at: Self.time(2))
    Self.expect(Self.outcome(of: &state, from: 2, unsent: 5000) { Int($0 / 20) }, .close, at: 2 + 15 * 60)
  }

  @Test func anAnswerAfterWhichTheConnectionCloses() {
    var state = Self.state {
      $0.requestBegan(at: Self.time(0))
      $0.headEnded(isPersistent: false)
      $0.requestEnded(at: Self.time(1))
      $0.answerStarted(at: Self.time(1))
      $0.answerEnded(at: Self.time(1))
    }
    #expect(state.phase == .closing)
    state.lingeringBegan(at: Self.time(3))
    state.closingBegan(at: Self.time(4))
    #expect(state.phase == .lingering)
    Self.expect(Self.outcome(of: &state, from: 3), .close, at: 5)
  }

  // MARK: Stopping

  @Test func anIdleConnectionStopsAtOnce() {
    var state = Self.state()
    let isIdle = state.stop(at: Self.time(1))
    #expect(isIdle)
  }

  @Test func requestsThatAreComingInHaveMomentsOnly() {
    var head = Self.state { $0.requestBegan(at: Self.time(0)) }
    #expect(head.stop(at: Self.time(1)) == false)
    Self.expect(Self.outcome(of: &head, from: 1), .close, at: 4)
    var body = Self.state {
      $0.requestBegan(at: Self.time(0))
      $0.headEnded(isPersistent: true)
    }
    #expect(body.stop(at: Self.time(1)) == false)
    Self.expect(Self.outcome(of: &body, from: 1), .refuse(.stopping), at: 4)
    // One that comes whole meanwhile is answered, and is the last.
    body.requestEnded(at: Self.time(2))
    body.answerStarted(at: Self.time(2))
    body.answerEnded(at: Self.time(2))
    #expect(body.phase == .closing)
  }

  @Test func whatWasAnsweredMayBeTakenForAWhile() {
    var slow = Self.answering(started: 2)
    slow.answerEnded(at: Self.time(2))
    _ = slow.check(at: Self.time(3), unsent: 5000, sent: 0)
    _ = slow.stop(at: Self.time(20))
    Self.expect(Self.outcome(of: &slow, from: 20, unsent: 5000) { Int($0) }, .close, at: 28)
    // A stream or an export that goes on, read or not.
    for unsent in [0, 5000] {
      var endless = Self.answering(started: 2)
      _ = endless.stop(at: Self.time(20))
      Self.expect(Self.outcome(of: &endless, from: 20, unsent: unsent) { Int($0) }, .close, at: 28)
    }
    // An answer that takes long to make has its time from then on, and there is an end to that too.
    var late = Self.answering()
    _ = late.stop(at: Self.time(20))
    Self.expect(Self.outcome(of: &late, from: 20), .close, at: 32)
    late = Self.answering()
    _ = late.stop(at: Self.time(20))
    late.answerStarted(at: Self.time(29))
    late.answerEnded(at: Self.time(29))
    Self.expect(Self.outcome(of: &late, from: 29, unsent: 5000) { Int($0) }, .close, at: 37)
  }
}

@Suite struct ConnectionsTests {
  private static func address(_ last: UInt8) -> NetworkAddress { NetworkAddress(bytes: [192, 0, 2, last]) }

  private final class Closed: @unchecked Sendable { var names: [String] = [] }  // one thread uses it

  @Test func busyConnectionsOfOneAddressAreBoundedAndOthersGetIn() throws {
    let connections = Connections(limits: .init(total: 10, perAddress: 2))
    let first = try #require(connections.enter(from: Self.address(1)) {})
    let second = try #require(connections.enter(from: Self.address(1)) {})
    first.isIdle.store(false, ordering: .relaxed)
    second.isIdle.store(false, ordering: .relaxed)
    #expect(connections.enter(from: Self.address(1)) {} == nil)
    #expect(connections.turnedAway == 1 && connections.count == 2)
    #expect(connections.enter(from: Self.address(2)) {} != nil)
    connections.leave(first)
    connections.leave(first)
    #expect(connections.count == 2)
    #expect(connections.enter(from: Self.address(1)) {} != nil)
  }

  @Test func anIdleConnectionMakesRoom() throws {
    let closed = Closed()
    let connections = Connections(limits: .init(total: 10, perAddress: 2))
    let busy = try #require(connections.enter(from: Self.address(1)) { closed.names.append("busy") })
    busy.isIdle.store(false, ordering: .relaxed)
    let idle = try #require(connections.enter(from: Self.address(1)) { closed.names.append("idle") })
    #expect(connections.enter(from: Self.address(1)) {} != nil)
    #expect(closed.names == ["idle"] && connections.count == 2)
    connections.leave(idle)
    #expect(connections.count == 2)
  }

  @Test func whenAllPlacesAreTakenTheAddressWithMostMakesRoom() throws {
    let closed = Closed()
    let connections = Connections(limits: .init(total: 4, perAddress: 3))
    for _ in 0..<3 { _ = connections.enter(from: Self.address(1)) { closed.names.append("many") } }
    _ = connections.enter(from: Self.address(2)) { closed.names.append("one") }
    #expect(connections.enter(from: Self.address(3)) {} != nil)
    #expect(closed.names == ["many"] && connections.count == 4)
  }

  @Test func aTrustedProxyIsBoundedByTheTotalOnly() throws {
    let proxy = try #require(Network("192.0.2.9"))
    let connections = Connections(limits: .init(total: 4, perAddress: 1), unlimited: [proxy])
    for _ in 0..<4 {
      let place = try #require(connections.enter(from: Self.address(9)) {})
      place.isIdle.store(false, ordering: .relaxed)
    }
    #expect(connections.enter(from: Self.address(9)) {} == nil)
    #expect(connections.enter(from: Self.address(1)) {} == nil)
  }
}

@Suite struct ByteBudgetTests {
  @Test func everybodyTogetherAndEachAreBounded() {
    let budget = ByteBudget(limit: 100, ofOne: 60)
    #expect(budget.take(60, for: [1]) && !budget.take(1, for: [1]))
    #expect(budget.isUsedUp(by: [1]) && !budget.isUsedUp(by: [2]) && !budget.isUsedUp(by: nil))
    #expect(budget.take(40, for: nil) && !budget.take(1, for: [2]) && budget.isUsedUp(by: nil))
    budget.giveBack(60, for: [1])
    #expect(budget.take(30, for: [2]) && !budget.isUsedUp(by: [1]))
    budget.takeAnyway(1000, for: [3])
    #expect(budget.isUsedUp(by: [1]) && budget.bytesHeld == 1070)
    budget.giveBack(1000, for: [3])
    budget.giveBack(40, for: nil)
    budget.giveBack(30, for: [2])
    #expect(budget.bytesHeld == 0 && budget.take(60, for: [2]))
  }
}
