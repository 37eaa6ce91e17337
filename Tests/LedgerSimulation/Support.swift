import Fairness
import Foundation
import Ledger

/// SplitMix64 (Steele, Lea, Flood 2014): repeatable randomness for simulations.
package struct SplitMix64: RandomNumberGenerator, Sendable {
  package var state: UInt64

  package init(state: UInt64) { self.state = state }

  package mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// True in `percent` of a hundred cases.
  package mutating func chance(_ percent: Double) -> Bool { Double.random(in: 0..<100, using: &self) < percent }

  package mutating func int(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

  package mutating func pick<Element>(_ elements: some Collection<Element>) -> Element {
    elements.randomElement(using: &self)!
  }

  package mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
  }
}

/// The seed of tests with random input: `FAIRDRAW_TEST_SEED`, else a new one; printed either way.
package func announcedSeed(_ test: String = #function) -> UInt64 {
  let seed =
    ProcessInfo.processInfo.environment["FAIRDRAW_TEST_SEED"].flatMap { UInt64($0) }
    ?? UInt64.random(in: .min ... .max)
  print("\(test): FAIRDRAW_TEST_SEED=\(seed)")
  return seed
}

extension LedgerWriter.Limits {
  /// Nobody is told that it took too long, however slow the machine is that runs the test.
  package static var unhurried: Self {
    var limits = Self()
    limits.timeout = .seconds(86_400)
    return limits
  }
}

/// Waits for something. What has not come in five minutes never will, and the tests end there.
package func until(
  file: String = #fileID, line: Int = #line, _ condition: () async throws -> Bool
) async rethrows {
  let deadline = ContinuousClock.now + .seconds(300)
  while try await !condition() {
    precondition(.now < deadline, "what is waited for in \(file), line \(line), does not come")
    await Task.yield()
  }
}

package func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

package func text(_ bytes: some Sequence<UInt8>) -> String { String(decoding: Array(bytes), as: UTF8.self) }

package func seed(_ text: String) -> ClientSeed { try! ClientSeed(text) }

package let masterKey = try! MasterKey(bytes: Array(1...32))
package let shortIDs = ShortIDs(masterKey: masterKey)
package let chainSeeds = ChainSeeds(key: try! masterKey.seedKey())
package let decider = Decider(
  masterKey: masterKey, seeds: chainSeeds, publicURL: "https://draw.example", defaultDailyQuota: 1000)

/// 2026-01-01T00:00:00 UTC.
package let newYear: Milliseconds = 1_767_225_600_000
package let day: Milliseconds = 86_400_000

extension ItemList {
  /// Items given as the JSON they are written in.
  package init(json items: [String]) { self.init(items) { $1 += Array($0.utf8) } }

  package func text(at index: Int) -> ArraySlice<UInt8> { text[ranges[index]] }
}

extension Caller {
  package static func live(_ key: Int64, account: Int64) -> Caller { .key(KeyID(key), AccountID(account), .live) }
  package static func test(_ key: Int64, account: Int64) -> Caller { .key(KeyID(key), AccountID(account), .test) }

  package func claim(_ key: String, fingerprint: [UInt8] = [1]) -> IdempotencyClaim {
    IdempotencyClaim(
      scope: IdempotencyScope(account: account, mode: mode, key: Array(key.utf8)), fingerprint: fingerprint)
  }
}
