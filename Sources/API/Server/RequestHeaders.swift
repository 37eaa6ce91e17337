import Foundation
import HTTPTypes
import NIOHTTP1

/// The headers that say who is calling, from where, and whether this is a retry.
///
/// One that may be given once only, but is given several times, is kept with commas between its values, as RFC 9110 has it:
/// no key and no origin looks like that.
struct RequestHeaders: Sendable {
  var apiKey: String?
  var authorization: String?
  var referer: String?
  var origin: String?
  var accept: String?
  /// Given more than once it has commas, and names no trace.
  var traceParent: String?
  var idempotencyKeys: [String] = []
  var forwardedFor: [String] = []
  /// Nil for a request that asks for no signature, as nearly all do.
  private(set) var acceptedSignatures: AcceptedSignatures?
  /// The body's length in bytes; 0 where none is announced.
  private(set) var announcedLength = 0
  /// Whether the body is compressed, or anything else but as it is.
  private(set) var isBodyEncoded = false

  init() {}

  init(_ fields: HTTPFields, host: String?) {
    for field in fields { take(field.name.canonicalName) { field.value } }
    if let accepted = acceptedSignatures { acceptedSignatures = AcceptedSignatures(accepted.signatures, host: host) }
  }

  init(_ headers: HTTPHeaders) {
    for (name, value) in headers { take(name) { value } }
    if let accepted = acceptedSignatures {
      acceptedSignatures = AcceptedSignatures(accepted.signatures, host: headers.first(name: "host"))
    }
  }

  private mutating func take(_ name: String, _ value: () -> String) {
    // The length tells most headers apart, and no string has to be made.
    switch name.utf8.count {
    case 6 where name.isHeader("origin"): add(value(), to: &origin)
    case 6 where name.isHeader("accept"): add(value(), to: &accept)
    case 7 where name.isHeader("referer"): add(value(), to: &referer)
    case 9 where name.isHeader("x-api-key"): add(value(), to: &apiKey)
    case 11 where name.isHeader("traceparent"): add(value(), to: &traceParent)
    case 13 where name.isHeader("authorization"): add(value(), to: &authorization)
    case 14 where name.isHeader("content-length"): announcedLength = Int(value()) ?? 0
    case 16 where name.isHeader("content-encoding"): noteEncoding(value())
    case 16 where name.isHeader("accept-signature"):
      var signatures = acceptedSignatures?.signatures
      add(value(), to: &signatures)
      acceptedSignatures = signatures.flatMap { $0.isEmpty ? nil : AcceptedSignatures($0) }
    case 15 where name.isHeader("idempotency-key"): idempotencyKeys.append(value())
    case 15 where name.isHeader("x-forwarded-for"): forwardedFor.append(value())
    default: break
    }
  }

  private mutating func noteEncoding(_ value: String) {
    let codings = value.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces).lowercased() }
    guard !codings.allSatisfy({ $0.isEmpty || $0 == "identity" }) else { return }
    isBodyEncoded = true
  }

  private func add(_ value: String, to header: inout String?) {
    header = header.map { $0 + ", " + value } ?? value
  }
}

extension String {
  /// Whether this is the header called `name`, which is written in small letters.
  fileprivate func isHeader(_ name: StaticString) -> Bool {
    var text = self
    return text.withUTF8 { bytes in
      guard bytes.count == name.utf8CodeUnitCount else { return false }
      for index in 0..<bytes.count {
        let byte = bytes[index]
        let small = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
        if small != name.utf8Start[index] { return false }
      }
      return true
    }
  }
}
