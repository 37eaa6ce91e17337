import HTTPClient
import Transparency

/// Sends requests to witnesses.
enum WitnessClient {
  static func post(_ url: String, _ body: [UInt8], within time: Duration) async throws -> LogWitnesses.Answer {
    var request = HTTPSender.Request(
      url: url, connectTime: .seconds(3), timeLimit: .whole(time), longestBody: LogWitnesses.longestAnswer)
    request.headers = [("User-Agent", "Fairdraw/\(Fairdraw.version)")]
    request.body = body
    let response = try await HTTPSender.shared.send(request)
    if let failure = response.failure { throw failure }
    return LogWitnesses.Answer(
      status: response.status, contentType: response.headers["content-type"], body: response.body)
  }
}
