import Fairness
import Foundation

/// SplitMix64 (Steele, Lea, Flood 2014): repeatable input for tests, unrelated to what is tested.
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

/// The seed of tests with random input: `FAIRDRAW_TEST_SEED`, else a new one; printed either way.
func announcedSeed(_ test: String = #function) -> UInt64 {
  let seed =
    ProcessInfo.processInfo.environment["FAIRDRAW_TEST_SEED"].flatMap { UInt64($0) }
    ?? UInt64.random(in: .min ... .max)
  print("\(test): FAIRDRAW_TEST_SEED=\(seed)")
  return seed
}

/// A server seed that is the same in every run.
let fixedSeed: ServerSeed = {
  var generator = SplitMix64(state: 2026)
  return ServerSeed(using: &generator)
}()
let fixedKey = StreamKey(fixedSeed)
let fixedClientSeed = try! ClientSeed("statistics")

func fixedStream(cursor: UInt64 = 0, nonce: UInt64 = 0) -> ByteStream {
  ByteStream(key: fixedKey, clientSeed: fixedClientSeed, cursor: cursor, nonce: nonce)
}

/// The draws at nonces 0 ..< `count` of the fixed chain.
func draws(_ generator: Generator, _ count: Int) -> [Values] {
  (0..<UInt64(count)).map { nonce in
    var stream = fixedStream(nonce: nonce)
    return generator.draw(from: &stream)
  }
}

extension Values {
  var numbers: [Double] {
    switch self {
    case .floats(let values), .samples(let values): values
    case .ints(let values): values.map(Double.init)
    case .permutation(let values), .rolls(let values, _, _): values.map(Double.init)
    case .index(let value): [Double(value)]
    case .bytes(let values, _): values.map(Double.init)
    }
  }

  var whole: [Int] { numbers.map { Int($0) } }
}

/// What `body` throws as ``InvalidParameter``, in words; `nil` if it throws nothing.
func refusal(_ body: () throws -> Void) -> String? {
  do {
    try body()
    return nil
  } catch let error as InvalidParameter {
    return error.message
  } catch {
    return "not an InvalidParameter: \(error)"
  }
}
