import Hummingbird
import JSON
import Ledger
import NIOCore

/// Reading request bodies, bounded.
enum BodyReader {
  /// The longest request body, in bytes.
  static let maximumBody = 2 << 20

  /// - Parameter limit: the most bytes.
  /// - Throws: a 413 when there is more, at once if the request says so beforehand; a 400 when it ends early.
  static func read(_ request: Request, upTo limit: Int = maximumBody) async throws(Refusal) -> [UInt8] {
    let tooLong = Refusal(413, "The request's body is longer than \(limit) bytes.", code: .bodyTooLong)
    if let length = request.headers[.contentLength].flatMap(Int.init), length > limit { throw tooLong }
    do {
      var buffer = try await request.body.collect(upTo: limit)
      return buffer.readBytes(length: buffer.readableBytes) ?? []
    } catch is NIOTooManyBytesError {
      throw tooLong
    } catch {
      throw .badRequest("The request's body ended too early.")
    }
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
