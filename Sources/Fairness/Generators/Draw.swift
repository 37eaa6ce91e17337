// How values are made of a stream: version 1 of the derivation, which never changes. Doubles are
// combined in the order written; Swift does not fuse a multiplication and an addition on its own.

extension Generator {
  /// Makes the draw.
  ///
  /// - Precondition: The parameters are in their ranges; see ``validated()``.
  /// - Parameter stream: A stream from which nothing has been taken yet, if the draw is to be verifiable.
  public func draw(from stream: inout ByteStream) -> Values {
    precondition(invalidParameter == nil, "draw(from:) needs a validated generator")
    switch self {
    case .floats(let count):
      return .floats(Self.array(count) { stream.float32() })
    case .ints(let count, let min, let max):
      let span = UInt64(max - min) + 1
      return .ints(Self.array(count) { min + Int64(stream.below(span)) })
    case .shuffle(let items):
      return .permutation(Self.permutation(of: items, from: &stream))
    case .pick(let items, let weights?):
      return .index(Self.index(of: items, weights: weights, from: &stream))
    case .pick(let items, nil):
      return .index(Int(stream.below(UInt64(items))))
    case .bytes(let count):
      return .bytes(stream.bytes(count: count))
    case .dice(let notation):
      let rolls = Self.array(notation.dice) { Int(stream.below(UInt64(notation.sides))) + 1 }
      return .rolls(rolls, total: Int64(rolls.reduce(0, +)) + notation.modifier)
    case .gaussian(let count, .normal(let mean, let stddev)):
      return .samples(Self.normal(count, mean: mean, stddev: stddev, from: &stream))
    case .gaussian(let count, .exponential(let lambda)):
      return .samples(Self.array(count) { -FDLibM.log(1 - stream.float53()) / lambda })
    case .gaussian(let count, .poisson(let lambda)):
      let none = FDLibM.exp(-lambda)
      return .samples(Self.array(count) { Self.poisson(lambda, none: none, from: &stream) })
    }
  }

  private static func array<Element>(_ count: Int, _ next: () -> Element) -> [Element] {
    [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
      while initialized < count {
        buffer.initializeElement(at: initialized, to: next())
        initialized += 1
      }
    }
  }

  private static func permutation(of items: Int, from stream: inout ByteStream) -> [Int] {
    var order = Array(0..<items)
    for last in stride(from: items - 1, to: 0, by: -1) {
      order.swapAt(last, Int(stream.below(UInt64(last) + 1)))
    }
    return order
  }

  private static func index(
    of items: Int, weights: [Double], from stream: inout ByteStream
  ) -> Int {
    let total = weights.reduce(0, +)
    let point = stream.float53() * total
    var sum = 0.0
    var last = 0
    for (index, weight) in weights.enumerated() where weight > 0 {
      // A weight of 0 would add nothing, so leaving it out leaves the sum as it is.
      sum += weight
      if point < sum { return index }
      last = index
    }
    // The product can round up to the total itself: the last item that can be picked stands for it.
    return last
  }

  private static func normal(
    _ count: Int, mean: Double, stddev: Double, from stream: inout ByteStream
  ) -> [Double] {
    var samples: [Double] = []
    samples.reserveCapacity(count + 1)
    while samples.count < count {
      let u = 2 * stream.float53() - 1
      let v = 2 * stream.float53() - 1
      let q = u * u + v * v
      if q >= 1 || q == 0 { continue }
      let f = (-2 * FDLibM.log(q) / q).squareRoot()
      samples.append(mean + stddev * (u * f))
      samples.append(mean + stddev * (v * f))
    }
    if samples.count > count { samples.removeLast() }
    return samples
  }

  /// - Parameter none: exp(−lambda), the probability of 0.
  private static func poisson(
    _ lambda: Double, none: Double, from stream: inout ByteStream
  ) -> Double {
    let u = stream.float53()
    var probability = none
    var cumulative = none
    var k = 0.0
    while u >= cumulative && k < 1000 {
      k += 1
      probability = probability * lambda / k
      cumulative += probability
    }
    return k
  }
}
