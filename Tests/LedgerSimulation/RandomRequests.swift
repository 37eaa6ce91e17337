import Fairness
import Ledger

extension SplitMix64 {
  /// A draw of any kind, mostly a small one, from one of the client seeds or, rarely, a new one.
  package mutating func drawRequest(_ clientSeeds: [ClientSeed]) -> DrawRequest {
    let clientSeed = chance(2) ? seed("new-\(next())") : pick(clientSeeds)
    let count = chance(2) ? 100 : int(1...4)
    switch int(0...7) {
    case 0: return DrawRequest(clientSeed: clientSeed, generator: .floats(count: count))
    case 1:
      let ranges: [(Int64, Int64)] = [(1, 100), (0, 0), (-5, 5), (-(1 << 53) + 1, -(1 << 53) + 999), (0, 0xFFFF_FFFF)]
      let (min, max) = pick(ranges)
      return DrawRequest(clientSeed: clientSeed, generator: .ints(count: count, min: min, max: max))
    case 2:
      let items = itemList()
      return DrawRequest(clientSeed: clientSeed, generator: .shuffle(items: items.count), items: items)
    case 3:
      let items = itemList()
      let weights = chance(50) ? (0..<items.count).map { Double($0 % 3) + ($0 == 0 ? 0.5 : 0) } : nil
      return DrawRequest(clientSeed: clientSeed, generator: .pick(items: items.count, weights: weights), items: items)
    case 4:
      return DrawRequest(
        clientSeed: clientSeed,
        generator: .bytes(count: chance(2) ? 1024 : int(1...40), encoding: pick(BytesEncoding.allCases)))
    case 5:
      let notation = try! DiceNotation(dice: count, sides: int(2...20), modifier: Int64(int(-3...3)))
      return DrawRequest(clientSeed: clientSeed, generator: .dice(notation))
    case 6:
      let sample = Generator.sample(count: chance(2) ? 1000 : count, min: -7, max: chance(50) ? 992 : 0xFFFF_FFF0)
      return DrawRequest(clientSeed: clientSeed, generator: sample)
    default:
      let distribution: Distribution = pick([
        .normal(mean: -1.5, stddev: 1e3), .normal(mean: 1e25, stddev: 1e22), .exponential(lambda: 0.25),
        .poisson(lambda: 4),
      ])
      return DrawRequest(clientSeed: clientSeed, generator: .gaussian(count: count, distribution))
    }
  }

  private mutating func itemList() -> ItemList {
    let json = ["1", "1.50", "-0", #""a,b""#, #"{"k":[1,2]}"#, "null", #""\u00e9""#, "\"é\"", "[]", "1e400"]
    return ItemList(json: (0..<(chance(1) ? 1000 : int(1...6))).map { _ in pick(json) })
  }
}
