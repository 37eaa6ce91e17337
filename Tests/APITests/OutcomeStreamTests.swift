import API
import Foundation
import Ledger
import NIOCore
import NIOPosix
import Testing

@Suite struct OutcomeStreamTests {
  /// Time that passes only in sleeps, draws and writes.
  private final class World {
    var now = Duration.zero
    var drawCost = Duration.zero
    var writeCost = Duration.zero
    var drawnAt: [Duration] = []
    var text = ""
    var stopAt: Duration?
    var answer: (Int) -> OutcomeStream.Draw = { .outcome(World.outcome($0)) }

    static func outcome(_ nonce: Int, seed: String = "s", json: String = "s") -> OutcomeStream.Outcome {
      OutcomeStream.Outcome(
        id: Array("\(seed):0:\(nonce)".utf8),
        json: Array(#"{"outcome":[1],"clientSeed":"\#(json)","cursor":0,"nonce":\#(nonce),"mode":"live"}"#.utf8))
    }

    func run(every interval: Duration, resuming recorded: [OutcomeStream.Outcome] = []) async throws {
      try await OutcomeStream(
        interval: interval, limits: OutcomeStream.Limits(), now: { self.now },
        sleep: { moment in
          if let stop = self.stopAt, moment >= stop {
            self.now = stop
            return false
          }
          self.now = max(self.now, moment)
          return true
        },
        draw: {
          self.drawnAt.append(self.now)
          self.now += self.drawCost
          return self.answer(self.drawnAt.count - 1)
        },
        write: {
          self.now += self.writeCost
          self.text += String(decoding: $0, as: UTF8.self)
        }
      ).run(resuming: recorded.count) { try await $1(recorded[$0]) }
    }

    var events: [Substring] { text.split(separator: "\n\n") }
  }

  @Test func anEventHasIdTypeAndData() {
    #expect(
      String(decoding: OutcomeStream.event(World.outcome(7, seed: #"a:"é"#, json: #"a:\"é"#)), as: UTF8.self) == """
        id: a:"é:0:7
        event: outcome
        data: {"outcome":[1],"clientSeed":"a:\\"é","cursor":0,"nonce":7,"mode":"live","outcomeId":"a:\\"é:0:7"}


        """)
  }

  @Test func itBeatsForTenMinutesWithoutDrift() async throws {
    let world = World()
    world.drawCost = .milliseconds(70)
    world.writeCost = .milliseconds(3)
    try await world.run(every: .seconds(1))
    #expect(world.drawnAt.count == 600)
    for (beat, moment) in world.drawnAt.enumerated() {
      // A heartbeat that is written at a beat makes it a little late, and not the next one.
      #expect((Duration.seconds(beat)...Duration.seconds(beat) + .milliseconds(3)).contains(moment))
    }
    #expect(world.events.count { $0 == ": heartbeat" } == 39)
    #expect(world.events.last == "event: done\ndata: {\"reason\":\"max_duration\",\"count\":600,\"durationMs\":600000}")
  }

  @Test func betweenRareOutcomesThereAreHeartbeats() async throws {
    let world = World()
    try await world.run(every: .seconds(60))
    #expect(world.drawnAt == (0..<10).map { .seconds(60 * $0) })
    let kinds = world.events.map { $0.hasPrefix(":") ? "h" : $0.hasPrefix("id") ? "o" : "d" }.joined()
    #expect(
      kinds == String(repeating: "ohhhh", count: 9) + "ohhh" + "d"
        || kinds == "o" + String(repeating: "hhhho", count: 9) + "hhhd")
  }

  @Test func aClientThatHardlyReadsDoesNotKeepItOpen() async throws {
    let world = World()
    world.writeCost = .seconds(250)
    try await world.run(every: .seconds(1))
    #expect(world.drawnAt == [.zero, .seconds(500)])
    #expect(world.events.last == "event: done\ndata: {\"reason\":\"max_duration\",\"count\":2,\"durationMs\":750000}")
  }

  @Test func itEndsAtTheQuota() async throws {
    let world = World()
    world.answer = { $0 < 3 ? .outcome(World.outcome($0)) : .quotaExceeded }
    try await world.run(every: .milliseconds(100))
    #expect(world.events.count == 4)
    #expect(world.events.last == "event: done\ndata: {\"reason\":\"quota_exceeded\",\"count\":3,\"durationMs\":300}")
  }

  @Test func aStreamThatIsStoppedDrawsNoMoreAndSaysNothing() async throws {
    let world = World()
    world.stopAt = .milliseconds(2500)
    try await world.run(every: .seconds(1))
    #expect(world.drawnAt.count == 3 && world.events.count == 3)
  }

  @Test func recordedOutcomesComeFirstAndAreNotCounted() async throws {
    let world = World()
    world.answer = { $0 < 1 ? .outcome(World.outcome(9)) : .over }
    try await world.run(every: .seconds(1), resuming: [World.outcome(7), World.outcome(8)])
    #expect(world.events.map { $0.prefix(9) } == ["id: s:0:7", "id: s:0:8", "id: s:0:9"])
  }

  @Test func aBusyServerIsAskedAgainForTheSameBeat() async throws {
    let world = World()
    world.answer = { $0 == 1 || $0 == 2 ? .busy : .outcome(World.outcome($0)) }
    world.stopAt = .seconds(3)
    try await world.run(every: .seconds(1))
    #expect(world.drawnAt == [.zero, .seconds(1), .milliseconds(1250), .milliseconds(1500), .seconds(2)])
  }

  /// What was late by a little is caught up with; a client that did not read for long does not get it all at once.
  @Test func lateBeatsAreCaughtUpWithUpToABound() async throws {
    let world = World()
    world.answer = {
      world.drawCost = $0 == 1 ? .seconds(3) : $0 == 10 ? .seconds(60) : .zero
      return .outcome(World.outcome($0))
    }
    world.stopAt = .seconds(90)
    world.drawCost = .zero
    try await world.run(every: .seconds(1))
    let late = zip(world.drawnAt, world.drawnAt.dropFirst()).map { $1 - $0 }
    #expect(late.contains(.seconds(3)) && late.count { $0 == .zero } >= 2)
    #expect(late.contains { $0 >= .seconds(60) })
    #expect(world.drawnAt.count <= 40)
  }
}

@Suite struct StreamRegistryTests {
  @Test func streamsAreBounded() throws {
    let registry = StreamRegistry(limits: .init(streams: 4, perAccount: 2, perAddress: 1))
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let first = try registry.open(for: .account(AccountID(1)), on: loop)
    _ = try registry.open(for: .account(AccountID(1)), on: loop)
    #expect(throws: Refusal.self) { try registry.open(for: .account(AccountID(1)), on: loop) }
    _ = try registry.open(for: .subscriber([1]), on: loop)
    #expect(throws: Refusal.self) { try registry.open(for: .subscriber([1]), on: loop) }
    _ = try registry.open(for: .subscriber([2]), on: loop)
    #expect(throws: Refusal.self) { try registry.open(for: .subscriber([3]), on: loop) }
    registry.close(first)
    registry.close(first)
    #expect(registry.count == 3)
    _ = try registry.open(for: .account(AccountID(1)), on: loop)
  }

  @Test func stoppingWakesTheSleepers() async throws {
    let registry = StreamRegistry(limits: .init())
    let stream = try registry.open(for: .nobody, on: MultiThreadedEventLoopGroup.singleton.next())
    #expect(await stream.sleep(until: .now()))
    async let slept = stream.sleep(until: .now() + .hours(1))
    registry.closeAll()
    #expect(await slept == false)
    #expect(await stream.sleep(until: .now()) == false)
    #expect(throws: Refusal.self) { try registry.open(for: .nobody, on: MultiThreadedEventLoopGroup.singleton.next()) }
  }
}
