import JSON
import Ledger

/// One stream of outcomes, as a client sees it: events at a steady beat, comments that keep the connection open, and an
/// end. Time, draws and the connection come in as functions.
package struct OutcomeStream {
  /// An outcome as it is sent.
  package struct Outcome {
    /// Its coordinates, which are the event's id.
    let id: [UInt8]
    let json: [UInt8]

    package init(id: [UInt8], json: [UInt8]) {
      self.id = id
      self.json = json
    }
  }

  /// What came of a draw.
  package enum Draw {
    case outcome(Outcome)
    case quotaExceeded
    /// Nothing came, and it may be asked for again soon: too much is waiting.
    case busy
    /// There will be no more: the server stops, the key was revoked, the database fails.
    case over
  }

  package struct Limits: Sendable {
    package var duration = Duration.seconds(600)
    package var heartbeat = Duration.seconds(15)
    /// How far a stream may fall behind its beat, because the client does not read, before beats are left out.
    package var lag = Duration.seconds(5)
    package var busyPause = Duration.milliseconds(250)

    package init() {}
  }

  let interval: Duration
  let limits: Limits
  let now: () -> Duration
  let sleep: (Duration) async -> Bool
  let draw: () async throws -> Draw
  let write: ([UInt8]) async throws -> Void

  /// - Parameters:
  ///   - now: the time since the stream began.
  ///   - sleep: sleeps until a moment; false if the stream was stopped meanwhile.
  package init(
    interval: Duration, limits: Limits, now: @escaping () -> Duration, sleep: @escaping (Duration) async -> Bool,
    draw: @escaping () async throws -> Draw, write: @escaping ([UInt8]) async throws -> Void
  ) {
    self.interval = interval
    self.limits = limits
    self.now = now
    self.sleep = sleep
    self.draw = draw
    self.write = write
  }

  /// Runs until the time is up, the quota is spent or the stream is stopped.
  ///
  /// - Parameters:
  ///   - count: how many outcomes to begin with that were drawn before.
  ///   - recorded: hands the one of a place among them to a function that sends it.
  package func run(
    resuming count: Int = 0, recorded: (Int, _ send: (Outcome) async throws -> Void) async throws -> Void = { _, _ in }
  ) async throws {
    for place in 0..<count { try await recorded(place) { try await write(Self.event($0)) } }
    var drawn = 0
    var beat = 0  // beats are counted from the start, so that a late one does not make the next one late
    var nextHeartbeat = limits.heartbeat
    while true {
      let moment = interval * beat
      while true {
        let now = now()
        if now >= limits.duration {
          return try await write(Self.done("max_duration", count: drawn, duration: now))
        }
        if now >= nextHeartbeat {
          try await write(Array(": heartbeat\n\n".utf8))
          // One, however many were due while the client did not read.
          while nextHeartbeat <= self.now() { nextHeartbeat += limits.heartbeat }
          continue
        }
        if now >= moment { break }
        guard await sleep(min(moment, nextHeartbeat, limits.duration)) else { return }
      }
      switch try await draw() {
      case .outcome(let outcome):
        try await write(Self.event(outcome))
        drawn += 1
        beat += 1
      case .quotaExceeded:
        return try await write(Self.done("quota_exceeded", count: drawn, duration: now()))
      case .busy:
        guard await sleep(now() + limits.busyPause) else { return }
      case .over:
        return
      }
      let behind = now() - interval * beat
      if behind > limits.lag { beat += Int(behind / interval) }
    }
  }

  /// `id`, `event` and `data` of an outcome. The id is in the data as well.
  package static func event(_ outcome: Outcome) -> [UInt8] {
    var event: [UInt8] = []
    event.reserveCapacity(outcome.json.count + 2 * outcome.id.count + 64)
    event.append(json: "id: ")
    event.append(contentsOf: outcome.id)
    event.append(json: "\nevent: outcome\ndata: ")
    event.append(contentsOf: outcome.json.dropLast())
    event.append(json: ",\"outcomeId\":")
    event.append(jsonString: outcome.id)
    event.append(json: "}\n\n")
    return event
  }

  private static func done(_ reason: StaticString, count: Int, duration: Duration) -> [UInt8] {
    var event: [UInt8] = []
    event.append(json: "event: done\ndata: {\"reason\":\"")
    event.append(json: reason)
    event.append(json: "\",\"count\":")
    event.append(integer: count)
    event.append(json: ",\"durationMs\":")
    event.append(integer: Int64(duration / .milliseconds(1)))
    event.append(json: "}\n\n")
    return event
  }
}
