import Fairness
import Testing

@Suite struct GeneratorTests {
  static let safe: Int64 = 9_007_199_254_740_991

  @Test(
    arguments: [
      .floats(count: 1), .floats(count: 100),
      .ints(count: 1, min: 1, max: 1), .ints(count: 100, min: -safe, max: -safe),
      .ints(count: 1, min: safe, max: safe), .ints(count: 1, min: 0, max: 4_294_967_295),
      .ints(count: 1, min: -safe, max: -safe + 4_294_967_295),
      .shuffle(items: 1), .shuffle(items: 1000),
      .pick(items: 1, weights: nil), .pick(items: 1000, weights: nil),
      .pick(items: 1, weights: [5e-324]), .pick(items: 3, weights: [0, -0.0, 1e308]),
      .bytes(count: 1), .bytes(count: 1024),
      .gaussian(count: 1, .normal(mean: 1e300, stddev: 1e300)),
      .gaussian(count: 100, .normal(mean: -1e300, stddev: 5e-324)),
      .gaussian(count: 1, .exponential(lambda: 1e-300)),
      .gaussian(count: 1, .exponential(lambda: .greatestFiniteMagnitude)),
      .gaussian(count: 1, .poisson(lambda: 100)), .gaussian(count: 1, .poisson(lambda: 5e-324)),
      .sample(count: 1, min: safe, max: safe), .sample(count: 1000, min: 1, max: 1000),
      .sample(count: 1000, min: -safe, max: -safe + 4_294_967_295),
    ] as [Generator])
  func accepted(generator: Generator) throws {
    #expect(try generator.validated() == generator)
    // At its limits, too, every value is a finite number.
    for values in draws(generator, 100) {
      #expect(values.numbers.allSatisfy { $0.isFinite })
    }
  }

  @Test(
    arguments: [
      (.floats(count: 0), "count must be a whole number from 1 to 100"),
      (.floats(count: 101), "count must be a whole number from 1 to 100"),
      (.floats(count: .min), "count must be a whole number from 1 to 100"),
      (.ints(count: 0, min: 5, max: 1), "count must be a whole number from 1 to 100"),
      (
        .ints(count: 1, min: -safe - 1, max: 1),
        "min must be a whole number from -9007199254740991 to 9007199254740991"
      ),
      (
        .ints(count: 1, min: .max, max: 1),
        "min must be a whole number from -9007199254740991 to 9007199254740991"
      ),
      (
        .ints(count: 1, min: .min, max: .max),
        "min must be a whole number from -9007199254740991 to 9007199254740991"
      ),
      (
        .ints(count: 1, min: 1, max: safe + 1),
        "max must be a whole number from -9007199254740991 to 9007199254740991"
      ),
      (.ints(count: 1, min: 2, max: 1), "max must be greater than or equal to min"),
      (.ints(count: 1, min: 0, max: 1 << 32), "max must be at most 4294967295 greater than min"),
      (.ints(count: 1, min: -safe, max: safe), "max must be at most 4294967295 greater than min"),
      (.shuffle(items: 0), "items must be a list of 1 to 1000 items"),
      (.shuffle(items: 1001), "items must be a list of 1 to 1000 items"),
      (.pick(items: 0, weights: nil), "items must be a list of 1 to 1000 items"),
      (.pick(items: 1001, weights: nil), "items must be a list of 1 to 1000 items"),
      (
        .pick(items: 3, weights: [1, 2]),
        "weights must be a list of one number for each of the 3 items"
      ),
      (
        .pick(items: 1, weights: []), "weights must be a list of one number for each of the 1 items"
      ),
      (
        .pick(items: 2, weights: [1, -1e-9]),
        "weights must be finite numbers greater than or equal to 0"
      ),
      (
        .pick(items: 2, weights: [1, .nan]),
        "weights must be finite numbers greater than or equal to 0"
      ),
      (
        .pick(items: 2, weights: [1, .infinity]),
        "weights must be finite numbers greater than or equal to 0"
      ),
      (.pick(items: 2, weights: [0, -0.0]), "weights must have a finite sum greater than 0"),
      (.pick(items: 2, weights: [1e308, 1e308]), "weights must have a finite sum greater than 0"),
      (.bytes(count: 0), "count must be a whole number from 1 to 1024"),
      (.bytes(count: 1025), "count must be a whole number from 1 to 1024"),
      (
        .gaussian(count: 101, .poisson(lambda: 1)), "count must be a whole number from 1 to 100"
      ),
      (
        .gaussian(count: 1, .normal(mean: .nan, stddev: 1)),
        "mean must be a number from -1e300 to 1e300"
      ),
      (
        .gaussian(count: 1, .normal(mean: -1.1e300, stddev: 1)),
        "mean must be a number from -1e300 to 1e300"
      ),
      (
        .gaussian(count: 1, .normal(mean: 0, stddev: 0)),
        "stddev must be a number greater than 0 and at most 1e300"
      ),
      (
        .gaussian(count: 1, .normal(mean: 0, stddev: .nan)),
        "stddev must be a number greater than 0 and at most 1e300"
      ),
      (
        .gaussian(count: 1, .normal(mean: 0, stddev: .infinity)),
        "stddev must be a number greater than 0 and at most 1e300"
      ),
      (
        .gaussian(count: 1, .exponential(lambda: 0)),
        "lambda must be a number greater than 0 (at least 1e-300)"
      ),
      (
        .gaussian(count: 1, .exponential(lambda: .infinity)),
        "lambda must be a number greater than 0 (at least 1e-300)"
      ),
      (
        .gaussian(count: 1, .exponential(lambda: .nan)),
        "lambda must be a number greater than 0 (at least 1e-300)"
      ),
      (
        .gaussian(count: 1, .poisson(lambda: 100.00000000000001)),
        "lambda must be a number greater than 0 and at most 100 for the poisson distribution"
      ),
      (
        .gaussian(count: 1, .poisson(lambda: -1)),
        "lambda must be a number greater than 0 and at most 100 for the poisson distribution"
      ),
      (.sample(count: 0, min: 1, max: 9), "count must be a whole number from 1 to 1000"),
      (.sample(count: 1001, min: 1, max: 9), "count must be a whole number from 1 to 1000"),
      (.sample(count: 2, min: 2, max: 1), "max must be greater than or equal to min"),
      (.sample(count: 2, min: 0, max: 1 << 32), "max must be at most 4294967295 greater than min"),
      (
        .sample(count: 10, min: 1, max: 9),
        "count must be at most 9, since that is how many integers the range has"
      ),
    ] as [(Generator, String)])
  func refused(generator: Generator, message: String) {
    #expect(refusal { _ = try generator.validated() } == message)
  }

  @Test func sizesAndRanges() throws {
    for count in [1, 2, 3, 99, 100] {
      for generator in [
        .floats(count: count), .ints(count: count, min: -3, max: 3), .bytes(count: count),
        .shuffle(items: count), .dice(try DiceNotation(dice: count, sides: 3)),
        .gaussian(count: count, .normal(mean: 0, stddev: 1)),
        .gaussian(count: count, .exponential(lambda: 1)),
        .gaussian(count: count, .poisson(lambda: 3)),
        .sample(count: count, min: -3, max: 96),
      ] as [Generator] {
        var stream = fixedStream()
        let values = generator.draw(from: &stream)
        #expect(values.numbers.count == count)
      }
    }
    for values in draws(.shuffle(items: 1000), 20) {
      #expect(values.whole.sorted() == Array(0..<1000))
    }
    for values in draws(.sample(count: 1000, min: 0, max: 999), 20) {
      #expect(values.whole.sorted() == Array(0..<1000))
    }
    let ints = Set(draws(.ints(count: 100, min: -3, max: 3), 100).flatMap(\.whole))
    #expect(ints == Set(-3...3))
  }

  @Test("An item of weight 0 is never picked, whichever its place")
  func zeroWeights() {
    for values in draws(.pick(items: 4, weights: [0, 1, 0, 0]), 1000) {
      #expect(values == .index(1))
    }
  }

  /// 5e-324 has no half: every point below the total rounds to 0 or to the total itself, which no prefix
  /// sum exceeds, so the last item that has a weight stands for it.
  @Test("A point that rounds up to the total picks the last item with a weight")
  func roundedUp() {
    let picks = Set(draws(.pick(items: 3, weights: [0, 5e-324, 0]), 100).flatMap(\.whole))
    #expect(picks == [1])
  }

  @Test func endpoints() {
    #expect(
      Endpoint.allCases.map(\.name) == [
        "floats", "ints", "shuffle", "pick", "bytes", "dice", "gaussian", "sample",
      ])
    #expect(Endpoint.allCases.map(\.rawValue) == [1, 2, 3, 4, 5, 6, 7, 8])
    for endpoint in Endpoint.allCases { #expect(Endpoint(name: endpoint.name) == endpoint) }
    for name in ["", "Ints", "ints ", "int", "pic\u{212a}", "/api/ints", "ints\0"] {
      #expect(Endpoint(name: name) == nil)
    }
    #expect(Generator.gaussian(count: 1, .poisson(lambda: 1)).endpoint == .gaussian)
  }
}
