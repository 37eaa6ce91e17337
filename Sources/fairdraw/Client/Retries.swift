import Foundation

/// Sends a request again until the server has answered it for good: not with 429 or 5xx.
///
/// The time between two attempts doubles, with jitter, and is never shorter than what a `Retry-After` asks for.
struct Retries {
  /// The exit status if there was no answer in time: the same command may be run again.
  static let exhausted: Int32 = 75

  /// How long to go on.
  let limit: Duration
  static let forEver = Duration.seconds(1 << 32)
  /// Told before each pause.
  var onPause: (_ reason: String, _ pause: Duration) -> Void = { reason, pause in
    print(
      "fairdraw: \(reason); trying again in \((pause / Duration.seconds(1)).formatted(.number.precision(.fractionLength(1)))) s",
      to: &Terminal.error)
  }

  /// - Parameter mayRepeat: whether a request that was lost on the way, or answered so, may be sent again.
  /// - Throws: ``CommandFailure`` with the status ``exhausted`` if there was no such answer in time.
  func answer(
    mayRepeat: (HTTPFetch.Answer?) -> Bool = { _ in true }, _ send: () async throws -> HTTPFetch.Answer
  ) async throws -> HTTPFetch.Answer {
    let end = ContinuousClock.now + limit
    var pause = Duration.milliseconds(200)
    while true {
      var answer: HTTPFetch.Answer?
      let reason: String
      do {
        let received = try await send()
        guard received.status == 429 || received.status >= 500 else { return received }
        (answer, reason) = (received, "the server answered \(received.status): \(received.error)")
      } catch let failure as CommandFailure {
        reason = failure.description
      }
      let jittered = pause * Double.random(in: 0.5...1)
      let next = max(jittered, Duration.seconds(answer?.retryAfter ?? 0))
      guard mayRepeat(answer), .now + next < end else {
        // A 429 is an answer: nothing was done, and nothing will be for a while.
        if let answer, answer.status == 429 { return answer }
        throw CommandFailure(reason, status: Self.exhausted)
      }
      try Task.checkCancellation()
      onPause(reason, next)
      try await Task.sleep(for: next)
      pause = min(pause * 2, .seconds(15))
    }
  }
}
