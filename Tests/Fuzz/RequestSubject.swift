import API
import Ledger
import NIOCore
import NIOHTTP1

/// HTTP requests: how the bytes are cut into packets changes nothing, and a request that is written again is read as the same.
struct RequestSubject: Subject {
  let name = "request"
  let tokens = [
    "\r\n", "\r\n\r\n", "GET ", "POST ", " HTTP/1.1\r\n", " HTTP/1.0\r\n", "Host: a\r\n", "Content-Length: 3\r\n",
    "Content-Length: ", "Transfer-Encoding: chunked\r\n",
    "3\r\nabc\r\n", "0\r\n\r\n", "Connection: close\r\n", "Expect: 100-continue\r\n", "Upgrade: h2c\r\n", ": ", "\u{0}",
    "http://a/", "Idempotency-Key: \"a\"\r\n",
  ]

  private struct Request: Equatable {
    var method: String
    var target: String
    var headers: [String]
    var body: [UInt8] = []
  }

  func check(_ input: [UInt8]) throws -> Bool {
    let whole = read(input) { _ in .max }
    for step in [1, 7, 100] {
      let pieces = read(input) { _ in step }
      try expect(pieces.requests == whole.requests, "\(step) bytes at a time give other requests")
      try expect(
        pieces.refusal == whole.refusal,
        "\(step) bytes at a time give \(pieces.refusal ?? 0), not \(whole.refusal ?? 0)")
    }
    if let status = whole.refusal {
      try expect([400, 413, 414, 417, 431, 501, 505].contains(status), "a refusal with the status \(status)")
    }
    for request in whole.requests {
      try expect(!request.target.utf8.contains { $0 <= 0x20 || $0 == 0x7F }, "a target has a blank in it")
      try expect(
        !request.headers.contains { $0.utf8.contains { $0 < 0x20 && $0 != 0x09 } }, "a header has a control in it")
    }
    return !whole.requests.isEmpty && whole.refusal == nil
  }

  private func read(_ input: [UInt8], step: (Int) -> Int) -> (requests: [Request], refusal: Int?) {
    var parser = RequestParser()
    var buffer = ByteBuffer()
    var requests: [Request] = []
    var current: Request?
    var rest = input[...]
    do throws(Refusal) {
      while true {
        var isStuck = false
        if current != nil {
          switch try parser.body(from: &buffer) {
          case .bytes(let bytes): current?.body.append(contentsOf: bytes.readableBytesView)
          case .needsMore: isStuck = true
          case .end:
            if let done = current { requests.append(done) }
            current = nil
          }
        } else {
          if let head = try parser.head(from: &buffer) {
            current = Request(
              method: head.request.method.rawValue, target: head.request.uri,
              headers: head.request.headers.map { "\($0.name): \($0.value)" })
          } else {
            isStuck = true
          }
        }
        guard isStuck else { continue }
        guard !rest.isEmpty else { return (requests, nil) }
        let piece = rest.prefix(step(rest.count))
        buffer.writeBytes(piece)
        rest = rest.dropFirst(piece.count)
      }
    } catch {
      return (requests, Int(error.status))
    }
  }
}
