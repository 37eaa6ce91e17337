import Fairness
import Foundation
import JSON
import Ledger

/// SplitMix64 (Steele, Lea, Flood 2014): repeatable randomness for simulations.
struct SplitMix64: RandomNumberGenerator, Sendable {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// True in `percent` of a hundred cases.
  mutating func chance(_ percent: Double) -> Bool { Double.random(in: 0..<100, using: &self) < percent }

  mutating func int(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

  mutating func pick<Element>(_ elements: some Collection<Element>) -> Element { elements.randomElement(using: &self)! }

  mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) } }
}

/// The seed of tests with random input: `FAIRDRAW_TEST_SEED`, else a new one; printed either way.
func announcedSeed(_ test: String = #function) -> UInt64 {
  let seed =
    ProcessInfo.processInfo.environment["FAIRDRAW_TEST_SEED"].flatMap { UInt64($0) }
    ?? UInt64.random(in: .min ... .max)
  print("\(test): FAIRDRAW_TEST_SEED=\(seed)")
  return seed
}

extension LedgerWriter.Limits {
  /// Nobody is told that it took too long, however slow the machine is that runs the test.
  static var unhurried: Self {
    var limits = Self()
    limits.timeout = .seconds(86_400)
    return limits
  }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

func text(_ bytes: some Sequence<UInt8>) -> String { String(decoding: Array(bytes), as: UTF8.self) }

func seed(_ text: String) -> ClientSeed { try! ClientSeed(text) }

let masterKey = try! MasterKey(bytes: Array(1...32))
let shortIDs = ShortIDs(masterKey: masterKey)
let chainSeeds = ChainSeeds(key: try! masterKey.seedKey())
let decider = Decider(
  masterKey: masterKey, seeds: chainSeeds, publicURL: "https://draw.example", defaultDailyQuota: 1000)

/// 2026-01-01T00:00:00 UTC.
let newYear: Milliseconds = 1_767_225_600_000
let day: Milliseconds = 86_400_000

extension DrawRequest {
  static func ints(_ clientSeed: String, count: Int = 1) -> DrawRequest {
    DrawRequest(clientSeed: seed(clientSeed), generator: .ints(count: count, min: 1, max: 100))
  }
}

extension ItemList {
  /// Items given as the JSON they are written in.
  init(json items: [String]) { self.init(items) { $1 += Array($0.utf8) } }

  func text(at index: Int) -> ArraySlice<UInt8> { text[ranges[index]] }
}

/// The members of a JSON object, by name.
func object(_ body: [UInt8]) throws -> [String: JSONValue] {
  let members = try JSONText(body).root.members ?? []
  return Dictionary(uniqueKeysWithValues: members.map { (text($0.name), $0.value) })
}

/// The outcomes an answer carries: one, or those of a batch.
func outcomes(in reply: Reply) throws -> [[String: JSONValue]] {
  let body = try object(reply.body)
  guard let results = body["results"]?.elements() else { return body["outcome"] == nil ? [] : [body] }
  return try results.compactMap { result in
    try object(Array(result.raw))["outcome"].map { try object(Array($0.raw)) }
  }
}

extension Caller {
  static func live(_ key: Int64, account: Int64) -> Caller { .key(KeyID(key), AccountID(account), .live) }
  static func test(_ key: Int64, account: Int64) -> Caller { .key(KeyID(key), AccountID(account), .test) }

  func claim(_ key: String, fingerprint: [UInt8] = [1]) -> IdempotencyClaim {
    IdempotencyClaim(
      scope: IdempotencyScope(account: account, mode: mode, key: Array(key.utf8)), fingerprint: fingerprint)
  }
}
