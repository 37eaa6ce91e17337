/// `gaussian`: samples of a normal distribution, or of another one.
public struct Gaussian: GeneratorKind {
  public static var name: String { "gaussian" }
  public static var number: UInt8 { 7 }
  public static var title: String { "Distributions" }
  public static var outcomeTitle: String { "Samples" }
  public static var shape: Values.Shape { .numbers }
  public static var parameters: [Parameter] {
    [
      .count(example: 40),
      Parameter("distribution", "Distribution", .choice(Distribution.Name.allCases.map(\.rawValue))),
      Parameter("mean", "Mean", example: "0", choices: ["normal"]),
      Parameter("stddev", "Standard deviation", example: "1", choices: ["normal"]),
      Parameter("lambda", "Lambda", example: "4", choices: ["exponential", "poisson"]),
    ]
  }

  public let count: Int
  public let distribution: Distribution

  public init<Source: ParameterSource>(from source: inout Source) throws(Source.Failure) {
    count = try source.count()
    distribution = try Distribution(from: source)
  }

  init(count: Int, _ distribution: Distribution) {
    self.count = count
    self.distribution = distribution
  }

  public var invalidParameter: InvalidParameter? {
    .wholeNumber("count", count, unlessIn: Limits.count) ?? distribution.invalidParameter
  }

  public func draw(from stream: inout ByteStream) -> Values {
    switch distribution {
    case .normal(let mean, let stddev):
      return .samples(normal(mean: mean, stddev: stddev, from: &stream))
    case .exponential(let lambda):
      return .samples(Array(count) { -FDLibM.log(1 - stream.float53()) / lambda })
    case .poisson(let lambda):
      let none = FDLibM.exp(-lambda)
      return .samples(Array(count) { Self.poisson(lambda, none: none, from: &stream) })
    }
  }

  private func normal(mean: Double, stddev: Double, from stream: inout ByteStream) -> [Double] {
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
  private static func poisson(_ lambda: Double, none: Double, from stream: inout ByteStream) -> Double {
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

  public func describe(_ field: (StaticString, FieldValue) -> Void) {
    field("distribution", .text(distribution.name.rawValue))
    distribution.parameters { field($0, .number($1)) }
    field("count", .integer(Int64(count)))
  }

  public var valueLength: Int { 24 * count }

  public var caption: String {
    var parameters: [String] = []
    // A whole number is written without a point.
    distribution.parameters { name, value in
      parameters.append("\(name) \(Int64(exactly: value).map(String.init) ?? "\(value)")")
    }
    let samples = count == 1 ? "One sample" : "\(count) samples"
    return "\(samples) of the \(distribution.name) distribution with \(parameters.joined(separator: ", "))"
  }

  public var scale: Scale? { .distribution(distribution) }
}

extension Generator {
  /// 1 to 100 samples of a distribution.
  public static func gaussian(count: Int, _ distribution: Distribution) -> Generator {
    Generator(Gaussian(count: count, distribution))
  }
}

extension Endpoint {
  public static var gaussian: Endpoint { Endpoint(Gaussian.self) }
}
