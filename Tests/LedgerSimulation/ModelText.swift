import Crypto
import Fairness
import Foundation
import Ledger

// How answers are written, for the model alone: nothing here is the program's.

/// A request that is turned down.
struct Refused: Error {
  let status: Int
  let error: String
  let code: String?
  let parameter: String?
  let retryAfter: Int?
  /// Further members.
  let more: String

  init(
    _ status: Int, _ error: String, _ code: String? = nil, parameter: String? = nil, retryAfter: Int? = nil,
    more: String = ""
  ) {
    (self.status, self.error, self.code, self.parameter) = (status, error, code, parameter)
    (self.retryAfter, self.more) = (retryAfter, more)
  }

  /// What was found bad before it got to the ledger.
  init(_ refusal: Refusal) {
    self.init(
      refusal.status, refusal.error, refusal.code?.rawValue, parameter: refusal.parameter,
      retryAfter: refusal.retryAfter)
  }

  /// Whether the server is at fault and not the request.
  var isFault: Bool { status >= 500 }

  var members: String {
    "\"error\":\(quoted(Array(error.utf8)))" + (code.map { ",\"code\":\"\($0)\"" } ?? "")
      + (parameter.map { ",\"parameter\":\(quoted(Array($0.utf8)))" } ?? "")
  }

  var answer: Model.Answer {
    let wait = retryAfter.map { ",\"retryAfter\":\($0)" } ?? ""
    return Model.Answer(status: status, body: "{\(members)\(wait)\(more)}", retryAfter: retryAfter)
  }

  static let revoked = Refused(401, "The API key is unknown or has been revoked.", "invalid_api_key")
  static let conflict = Refused(
    409, "This Idempotency-Key was already used for a different request.", "idempotency_replay")
  static let damaged = Refused(
    500, "A stored record that this request needs is damaged. Only the server's operator can repair it.", "damaged")
  static let testMode = Refused(
    403, "A test key has no seed chain to change; use a live key.", "test_mode_forbidden")
  static let noChain = Refused(
    400, "clientSeed has no seed chain yet: draw from it, or ask for its seed, first", "invalid_parameter",
    parameter: "clientSeed")
  static let nothingToRotate = Refused(
    404, "clientSeed has no outcome yet, so there is no server seed to reveal.", "nothing_to_rotate")
  static let aborted = Refused(400, "Nothing was drawn: another draw of this atomic batch failed.", "aborted")
  static let unknownCommitment = Refused(404, "There is no commitment with this commitId.", "unknown_commitment")
  static let foreignCommitment = Refused(
    403, "The commitment belongs to another caller: reveal it with a key of the account and mode that made it.",
    "commitment_not_yours")
  static let expiredCommitment = Refused(410, "The commitment has expired; make a new one.", "commitment_expired")

  static func usedCommitment(_ shortID: String) -> Refused {
    Refused(
      409, "The commitment is already revealed; it gives only one outcome.", "commitment_used",
      more: ",\"shortId\":\"\(shortID)\",\"permalink\":\"https://draw.example/o/\(shortID)\"")
  }

  static func quota(_ now: Milliseconds, of whose: String = "account") -> Refused {
    Refused(
      429, "The \(whose)'s daily quota is spent; it renews at midnight UTC.", "quota_exceeded",
      retryAfter: Int((day - now % day + 999) / 1000))
  }
}

/// The JSON object of an outcome.
func outcome(
  _ request: DrawRequest, _ seed: ServerSeed, _ cursor: Int64, _ nonce: Int64, _ mode: String, _ now: Milliseconds,
  _ shortID: String
) throws -> String {
  let values = try Verification(
    serverSeed: seed, serverHash: seed.hash, clientSeed: request.clientSeed, cursor: UInt64(cursor),
    nonce: UInt64(nonce), generator: request.generator
  ).values()
  let (endpoint, fields) = try fields(request.generator.kind, values)
  return "{\"outcome\":\(value(values, request.items)),\"shortId\":\"\(shortID)\","
    + "\"permalink\":\"https://draw.example/o/\(shortID)\",\"serverHash\":\"\(hexadecimal(seed.hash.bytes))\","
    + "\"clientSeed\":\(quoted(request.clientSeed.bytes)),\"cursor\":\(cursor),\"nonce\":\(nonce),"
    + "\"endpoint\":\"\(endpoint)\",\(fields),\"created\":\(now),\"mode\":\"\(mode)\"}"
}

private func value(_ values: Values, _ items: ItemList?) -> String {
  func item(_ index: Int) -> String { items.map { text($0.text(at: index)) } ?? "" }
  switch values {
  case .floats(let numbers), .samples(let numbers): return "[\(numbers.map(decimal).joined(separator: ","))]"
  case .ints(let numbers): return "[\(numbers.map(String.init).joined(separator: ","))]"
  case .permutation(let order): return "[\(order.map(item).joined(separator: ","))]"
  case .index(let index): return item(index)
  case .bytes(let bytes, .hex): return "\"\(hexadecimal(bytes))\""
  case .bytes(let bytes, .base64): return "\"\(Data(bytes).base64EncodedString())\""
  case .rolls(let rolls, let dice, let total):
    let sign = dice.modifier > 0 ? "+" : ""
    let modifier = dice.modifier == 0 ? "" : "\(sign)\(dice.modifier)"
    return "{\"notation\":\"\(dice.dice)d\(dice.sides)\(modifier)\","
      + "\"rolls\":[\(rolls.map(String.init).joined(separator: ","))],\"modifier\":\(dice.modifier),\"total\":\(total)}"
  }
}

/// An outcome's own members.
private func fields(_ kind: any GeneratorKind, _ values: Values) throws -> (endpoint: String, fields: String) {
  switch kind {
  case let floats as Floats: return ("floats", "\"count\":\(floats.count)")
  case let ints as Ints:
    return ("ints", "\"min\":\(ints.range.min),\"max\":\(ints.range.max),\"count\":\(ints.count)")
  case let shuffle as Shuffle: return ("shuffle", "\"count\":\(shuffle.items)")
  case let pick as Pick:
    guard case .index(let index) = values else { break }
    let weights = pick.weights.map { "[\($0.map(decimal).joined(separator: ","))]" } ?? "null"
    return ("pick", "\"index\":\(index),\"weights\":\(weights),\"count\":1")
  case let bytes as Bytes:
    return ("bytes", "\"encoding\":\"\(bytes.encoding == .hex ? "hex" : "base64")\",\"count\":\(bytes.count)")
  case let dice as Dice:
    let notation = dice.notation
    return (
      "dice", "\"count\":\(notation.dice),\"sides\":\(notation.sides),\"modifier\":\(notation.modifier)"
    )
  case let gaussian as Gaussian:
    let distribution =
      switch gaussian.distribution {
      case .normal(let mean, let stddev): "normal\",\"mean\":\(decimal(mean)),\"stddev\":\(decimal(stddev))"
      case .exponential(let lambda): "exponential\",\"lambda\":\(decimal(lambda))"
      case .poisson(let lambda): "poisson\",\"lambda\":\(decimal(lambda))"
      }
    return ("gaussian", "\"distribution\":\"\(distribution),\"count\":\(gaussian.count)")
  case let sample as Sample:
    return ("sample", "\"min\":\(sample.range.min),\"max\":\(sample.range.max),\"count\":\(sample.count)")
  default: break
  }
  throw Divergence(description: "the model does not know the generator \(kind)")
}

/// The members that say where a chain stands.
func place(_ seed: ServerSeed, _ cursor: Int64, _ nonce: Int64) -> String {
  "\"serverHash\":\"\(hexadecimal(seed.hash.bytes))\",\"cursor\":\(cursor),\"nonce\":\(nonce)"
}

func hexadecimal(_ bytes: [UInt8]) -> String {
  let digits = Array("0123456789abcdef")
  return String(bytes.flatMap { [digits[Int($0 / 16)], digits[Int($0 % 16)]] })
}

func hyphenated(_ id: CommitID) -> String {
  let hex = hexadecimal(id.bytes)
  var rest = hex[...]
  return [8, 4, 4, 4, 12].map { length in
    defer { rest = rest.dropFirst(length) }
    return String(rest.prefix(length))
  }.joined(separator: "-")
}

func quoted(_ utf8: [UInt8]) -> String {
  var quoted = String.UnicodeScalarView()
  for scalar in String(decoding: utf8, as: UTF8.self).unicodeScalars {
    switch scalar {
    case "\"", "\\": quoted.append(contentsOf: ["\\", scalar])
    case "\n": quoted.append(contentsOf: "\\n".unicodeScalars)
    case "\r": quoted.append(contentsOf: "\\r".unicodeScalars)
    case "\t": quoted.append(contentsOf: "\\t".unicodeScalars)
    case "\0"..<" ": quoted.append(contentsOf: "\\u00\(hexadecimal([UInt8(scalar.value)]))".unicodeScalars)
    default: quoted.append(scalar)
    }
  }
  return "\"\(String(quoted))\""
}

/// The fewest digits that read back to the same number, laid out as ECMAScript does; of numbers below 1e-300, which have
/// fewer, it gives more.
package func decimal(_ number: Double) -> String {
  if number == 0 { return number.sign == .minus ? "-0" : "0" }
  var printed = ""
  let magnitude = number.magnitude
  for precision: Int32 in 14...16 where Double(printed) != magnitude { printed = scientific(magnitude, precision) }
  let parts = printed.split(separator: "e")
  var digits = parts[0].filter { $0 != "." }
  while digits.last == "0" { digits.removeLast() }
  let point = (Int(parts[1]) ?? 0) + 1
  let sign = number < 0 ? "-" : ""
  func zeros(_ count: Int) -> String { String(repeating: "0", count: count) }
  switch point {
  case digits.count...21: return sign + digits + zeros(point - digits.count)
  case 1...21: return sign + digits.prefix(point) + "." + digits.dropFirst(point)
  case -5...0: return sign + "0." + zeros(-point) + digits
  default:
    let fraction = digits.count > 1 ? "." + digits.dropFirst() : ""
    return sign + digits.prefix(1) + fraction + (point > 0 ? "e+" : "e-") + "\(abs(point - 1))"
  }
}

/// What C's `%.*e` prints.
private func scientific(_ number: Double, _ precision: Int32) -> String {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: 32) { buffer in
    _ = withVaList([precision, number]) { vsnprintf(buffer.baseAddress, buffer.count, "%.*e", $0) }
    return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}

// MARK: Seeds

let seedKey = try! masterKey.seedKey()

func input(_ chain: ChainKey, epoch: Int) -> SeedInput {
  let scope = chain.owner == .anonymous ? SeedScope.anonymous : .account(UInt64(chain.owner.rawValue))
  return SeedInput(scope: scope, era: 0, epoch: UInt64(epoch), clientSeed: chain.clientSeed)
}

/// The server seeds of test mode: HMAC-SHA256 under keys that follow from the master key, which is ``masterKey``'s.
func testSeed(_ account: AccountID, _ clientSeed: [UInt8]) -> ServerSeed {
  hmac("test-seeds", account, clientSeed)
}

func testSeed(_ account: AccountID, commitment: CommitID) -> ServerSeed {
  hmac("test-commitments", account, commitment.bytes)
}

private func hmac(_ purpose: String, _ account: AccountID, _ name: [UInt8]) -> ServerSeed {
  let key = HKDF<SHA256>.deriveKey(
    inputKeyMaterial: SymmetricKey(data: Array(UInt8(1)...32)), info: Data("fairdraw/v1/\(purpose)".utf8),
    outputByteCount: 32)
  let message = Array("\(account.rawValue):".utf8) + name
  return ServerSeed(bytes: Array(HMAC<SHA256>.authenticationCode(for: message, using: key)))
}
