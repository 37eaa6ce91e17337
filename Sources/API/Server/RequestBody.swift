import Hummingbird
import JSON
import Ledger
import NIOCore

/// Reading request bodies, bounded.
enum RequestBody {
  /// The longest request body, in bytes.
  static let maximumBody = 2 << 20

  /// - Throws: `HTTPError` 413 when there is more.
  static func read(_ request: Request) async throws -> [UInt8] {
    var buffer = try await request.body.collect(upTo: maximumBody)
    return buffer.readBytes(length: buffer.readableBytes) ?? []
  }

  /// - Throws: a 400 unless `body` is one JSON value.
  static func json(_ body: [UInt8]) throws(Refusal) -> JSONValue {
    do throws(JSONSyntaxError) {
      return try JSONText(body).root
    } catch {
      throw .badRequest("The body is not JSON: \(error.reason), at byte \(error.offset).")
    }
  }
}
