/// A draw to be made: which of the seven generators, with which parameters.
///
/// A generator is a pure function of the stream it draws from. The same server seed, client seed,
/// cursor, nonce and generator give the same values on every machine, to the last bit.
///
/// ```swift
/// import Fairness
///
/// // Before the game: commit to a secret seed by publishing its hash.
/// var system = SystemRandomNumberGenerator()
/// let serverSeed = ServerSeed(using: &system)
/// print(serverSeed.hash)
///
/// // A draw: the player chooses the client seed, the nonce counts the draws.
/// let generator = try Generator.ints(count: 3, min: 1, max: 100).validated()
/// let key = StreamKey(serverSeed)  // worth keeping for the next draws
/// var stream = ByteStream(
///   key: key, clientSeed: try ClientSeed("round-1"), cursor: 0, nonce: 0)
/// let values = generator.draw(from: &stream)  // .ints([…])
///
/// // After the game: reveal the seed. Anyone can check it against the hash and draw again.
/// let again = try Verification(
///   serverSeed: serverSeed, serverHash: serverSeed.hash, clientSeed: try ClientSeed("round-1"),
///   cursor: 0, nonce: 0, generator: generator
/// ).values()
/// assert(again == values)
/// ```
public enum Generator: Sendable, Equatable {
  /// 1 to 100 multiples of 2^−32 in 0 ..< 1.
  case floats(count: Int)

  /// 1 to 100 whole numbers from `min` to `max`, both included: safe integers, at most 2^32 of them.
  case ints(count: Int, min: Int64, max: Int64)

  /// A new order of 1 to 1000 items (Fisher and Yates's shuffle, from the last item down).
  case shuffle(items: Int)

  /// One of 1 to 1000 items: each as likely as the next, or in proportion to `weights`, one for each
  /// item, finite, none negative, with a finite sum greater than 0.
  case pick(items: Int, weights: [Double]?)

  /// 1 to 1024 bytes.
  case bytes(count: Int)

  /// A roll of dice.
  case dice(DiceNotation)

  /// 1 to 100 samples of a distribution.
  case gaussian(count: Int, Distribution)

  /// Which of the seven it is.
  public var endpoint: Endpoint {
    switch self {
    case .floats: .floats
    case .ints: .ints
    case .shuffle: .shuffle
    case .pick: .pick
    case .bytes: .bytes
    case .dice: .dice
    case .gaussian: .gaussian
    }
  }

  /// The generator itself, if every parameter is in its range.
  ///
  /// - Throws: ``InvalidParameter`` naming the first that is not: `count`, `min`, `max`, `items`,
  ///   `weights`, `mean`, `stddev` or `lambda`. (A ``DiceNotation`` cannot be out of range.)
  public func validated() throws(InvalidParameter) -> Generator {
    if let invalidParameter { throw invalidParameter }
    return self
  }

  /// The first parameter that is out of its range. It costs nothing to speak of when there is none,
  /// so that `draw` can afford to ask again.
  var invalidParameter: InvalidParameter? {
    func whole(_ name: String, _ value: Int64, in range: ClosedRange<Int64>) -> InvalidParameter? {
      range.contains(value) ? nil : .wholeNumber(name, in: range)
    }
    func list(_ items: Int) -> InvalidParameter? {
      Limits.items.contains(Int64(items))
        ? nil
        : InvalidParameter(
          name: "items",
          reason: "must be a list of \(Limits.items.lowerBound) to \(Limits.items.upperBound) items")
    }
    switch self {
    case .floats(let count):
      return whole("count", Int64(count), in: Limits.count)
    case .ints(let count, let min, let max):
      if let invalid = whole("count", Int64(count), in: Limits.count)
        ?? whole("min", min, in: Limits.safeIntegers)
        ?? whole("max", max, in: Limits.safeIntegers)
      {
        return invalid
      }
      guard max >= min else {
        return InvalidParameter(name: "max", reason: "must be greater than or equal to min")
      }
      // Safe integers are at most 2^54 apart.
      guard max - min < Limits.span else {
        return InvalidParameter(
          name: "max", reason: "must be at most \(Limits.span - 1) greater than min")
      }
      return nil
    case .shuffle(let items):
      return list(items)
    case .pick(let items, let weights):
      if let invalid = list(items) { return invalid }
      guard let weights else { return nil }
      guard weights.count == items else {
        return InvalidParameter(
          name: "weights", reason: "must be a list of one number for each of the \(items) items")
      }
      guard weights.allSatisfy({ $0 >= 0 && $0.isFinite }) else {
        return InvalidParameter(
          name: "weights", reason: "must be finite numbers greater than or equal to 0")
      }
      let total = weights.reduce(0, +)
      guard total > 0, total.isFinite else {
        return InvalidParameter(
          name: "weights", reason: "must have a finite sum greater than 0")
      }
      return nil
    case .bytes(let count):
      return whole("count", Int64(count), in: Limits.byteCount)
    case .dice:
      return nil
    case .gaussian(let count, let distribution):
      return whole("count", Int64(count), in: Limits.count) ?? distribution.invalidParameter
    }
  }
}
