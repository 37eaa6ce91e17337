import Ledger
import NIOCore

/// The request that is under way on a connection: its head, and as much of its body as has come.
struct IncomingRequest {
  let head: RequestParser.Head
  /// Set for the ledger's own.
  let admitted: LedgerService.Admitted?
  private var body = ByteBuffer()
  /// How many bytes of the body are counted in the budget.
  private var counted = 0

  init(_ head: RequestParser.Head, _ admitted: LedgerService.Admitted? = nil) {
    self.head = head
    self.admitted = admitted
  }

  var isOld: Bool { head.request.version == .http1_0 }

  /// How many bytes of the body have come.
  var received: Int { body.readableBytes }

  /// Whether the client waits to be told to send the body.
  var waitsForWord: Bool { head.expectsContinue && body.readableBytes == 0 }

  /// - Throws: if the body is too long, or too much is coming in at once.
  mutating func take(_ bytes: ByteBuffer, _ settings: ConnectionSettings, for holder: [UInt8]?) throws(Refusal) {
    let length = body.readableBytes + bytes.readableBytes
    guard length <= BodyReader.maximumBody else { throw .bodyTooLong }
    if head.framing == .length(bytes.readableBytes) {
      body = bytes  // all of it
      return
    }
    let beyond = max(0, length - settings.freeBody)
    guard settings.bodies.take(beyond - counted, for: holder) else {
      throw Refusal.overloaded("Too many large request bodies are arriving; nothing was done.", retryAfter: 1)
    }
    counted = beyond
    if body.capacity == 0, case .length(let announced) = head.framing { body.reserveCapacity(announced) }
    body.writeImmutableBuffer(bytes)
  }

  /// Gives up the body, whole or not.
  mutating func takeBody(_ settings: ConnectionSettings, for holder: [UInt8]?) -> ByteBuffer {
    if counted > 0 { settings.bodies.giveBack(counted, for: holder) }
    counted = 0
    defer { body = ByteBuffer() }
    return body
  }
}

extension Refusal {
  static let bodyTooLong = Refusal(
    413, "The request's body is longer than \(BodyReader.maximumBody) bytes.", code: .bodyTooLong)
}
