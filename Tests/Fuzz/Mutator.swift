/// Makes inputs from others, the same ones for the same seed (SplitMix64).
struct Mutator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  private static let interesting: [UInt8] = [
    0, 1, 9, 10, 13, 32, 0x22, 0x25, 0x26, 0x2B, 0x2C, 0x2D, 0x2E, 0x2F, 0x30, 0x39, 0x3A, 0x3D, 0x5B, 0x5C, 0x5D, 0x65,
    0x75, 0x7B, 0x7D, 0x7F, 0x80, 0xBF, 0xC0, 0xC3, 0xE2, 0xED, 0xEF, 0xF0, 0xF4, 0xFF,
  ]
  private static let longest = 1 << 16

  /// One of the pool with one to a few changes.
  mutating func variation(of pool: [[UInt8]], tokens: [String]) -> [UInt8] {
    var input = pool.randomElement(using: &self) ?? []
    for _ in 0..<(1 + Int(next() % 4) * Int(next() % 2)) { change(&input, pool, tokens) }
    return input.count <= Self.longest ? input : Array(input.prefix(Self.longest))
  }

  private mutating func change(_ input: inout [UInt8], _ pool: [[UInt8]], _ tokens: [String]) {
    let place = Int.random(in: 0...input.count, using: &self)
    let end = min(input.count, place + Int(next() % 16))
    switch next() % 10 {
    case 0 where place < input.count: input[place] ^= 1 << UInt8(next() % 8)
    case 1 where place < input.count: input[place] = UInt8(truncatingIfNeeded: next())
    case 2: input.insert(Self.interesting.randomElement(using: &self) ?? 0, at: place)
    case 3: input.removeSubrange(place..<end)
    case 4: input.insert(contentsOf: input[place..<end], at: Int.random(in: 0...input.count, using: &self))
    case 5: input.insert(contentsOf: Array((tokens.randomElement(using: &self) ?? "").utf8), at: place)
    case 6:
      let other = pool.randomElement(using: &self) ?? []
      input = Array(input[..<place]) + other.dropFirst(Int.random(in: 0...other.count, using: &self))
    case 7: input.replaceSubrange(place..<end, with: Array((tokens.randomElement(using: &self) ?? "").utf8))
    case 8:
      input.insert(
        contentsOf: repeatElement(input.randomElement(using: &self) ?? 0x5B, count: Int(next() % 100)), at: place)
    default: input = Array(input[..<place])
    }
  }
}
