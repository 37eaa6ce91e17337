import Fairness
import Foundation
import Testing

/// `vectors.jsonl` is the derivation's own proof: a case a line, made independently of this code.
@Suite struct VectorTests {
  struct Vector: Decodable {
    let endpoint: String
    let serverSeed: String
    let clientSeed: String
    let nonce: UInt64
    let cursor: UInt64
    let serverHash: String
    let params: Params
    let expected: Expected

    struct Params: Decodable {
      let count: Int?
      let min: Int64?
      let max: Int64?
      let items: [String]?
      let weights: [Double]?
      let encoding: String?
      let notation: String?
      let dice: Int?
      let sides: Int?
      let modifier: Int64?
      let distribution: String?
      let mean: Double?
      let stddev: Double?
      let lambda: Double?
    }

    enum Expected: Decodable {
      case numbers([Double])
      case strings([String])
      case string(String)
      case picked(index: Int, outcome: String)
      case rolled(rolls: [Int], total: Int64)

      enum Key: CodingKey { case index, outcome, rolls, total }

      init(from decoder: any Decoder) throws {
        if let keyed = try? decoder.container(keyedBy: Key.self) {
          if keyed.contains(.rolls) {
            self = .rolled(
              rolls: try keyed.decode([Int].self, forKey: .rolls),
              total: try keyed.decode(Int64.self, forKey: .total))
          } else {
            self = .picked(
              index: try keyed.decode(Int.self, forKey: .index),
              outcome: try keyed.decode(String.self, forKey: .outcome))
          }
          return
        }
        let single = try decoder.singleValueContainer()
        if let string = try? single.decode(String.self) {
          self = .string(string)
        } else if let numbers = try? single.decode([Double].self) {
          self = .numbers(numbers)
        } else {
          self = .strings(try single.decode([String].self))
        }
      }
    }

    var generator: Generator {
      get throws {
        switch Endpoint(name: endpoint) {
        case .floats: .floats(count: try #require(params.count))
        case .ints:
          .ints(
            count: try #require(params.count), min: try #require(params.min),
            max: try #require(params.max))
        case .shuffle: .shuffle(items: try #require(params.items).count)
        case .pick: .pick(items: try #require(params.items).count, weights: params.weights)
        case .bytes: .bytes(count: try #require(params.count))
        case .dice: .dice(try DiceNotation(try #require(params.notation)))
        case .gaussian: .gaussian(count: try #require(params.count), try distribution)
        case .sample:
          .sample(
            count: try #require(params.count), min: try #require(params.min), max: try #require(params.max))
        default: throw Unknown(name: endpoint)
        }
      }
    }

    var distribution: Distribution {
      get throws {
        switch params.distribution {
        case "normal":
          .normal(mean: try #require(params.mean), stddev: try #require(params.stddev))
        case "exponential": .exponential(lambda: try #require(params.lambda))
        case "poisson": .poisson(lambda: try #require(params.lambda))
        default: throw Unknown(name: params.distribution ?? "no distribution")
        }
      }
    }
  }

  struct Unknown: Error { let name: String }

  static let vectors: [Vector] = {
    let url = Bundle.module.url(forResource: "vectors", withExtension: "jsonl")!
    let lines = try! Data(contentsOf: url).split(separator: UInt8(ascii: "\n"))
    return lines.map { try! JSONDecoder().decode(Vector.self, from: $0) }
  }()

  @Test func everyEndpointHasCases() {
    #expect(Self.vectors.count == 100)
    for endpoint in Endpoint.allCases {
      #expect(Self.vectors.count { $0.endpoint == endpoint.name } >= 12)
    }
  }

  @Test(arguments: vectors.indices)
  func line(index: Int) throws {
    let vector = Self.vectors[index]
    let values = try Verification(
      serverSeed: ServerSeed(hex: vector.serverSeed.utf8),
      serverHash: ServerHash(hex: vector.serverHash), clientSeed: ClientSeed(vector.clientSeed),
      cursor: vector.cursor, nonce: vector.nonce, generator: vector.generator
    ).values()

    switch (values, vector.expected) {
    case (.floats(let values), .numbers(let expected)),
      (.samples(let values), .numbers(let expected)):
      #expect(values.map(\.bitPattern) == expected.map(\.bitPattern))
    case (.ints(let values), .numbers(let expected)):
      #expect(values == expected.map { Int64($0) })
    case (.permutation(let order), .strings(let expected)):
      let items = try #require(vector.params.items)
      #expect(order.map { items[$0] } == expected)
    case (.index(let index), .picked(let expected, let outcome)):
      #expect(index == expected)
      #expect(vector.params.items?[index] == outcome)
    case (.bytes(let bytes, _), .string(let expected)):
      let text =
        vector.params.encoding == "base64"
        ? Data(bytes).base64EncodedString()
        : bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
      #expect(text == expected)
    case (.rolls(let rolls, _, let total), .rolled(let expected, let expectedTotal)):
      #expect(rolls == expected)
      #expect(total == expectedTotal)
      let notation = try DiceNotation(try #require(vector.params.notation))
      #expect(notation.dice == vector.params.dice)
      if let sides = vector.params.sides { #expect(notation.sides == sides) }
      #expect(notation.modifier == vector.params.modifier ?? 0)
    default:
      Issue.record("\(vector.endpoint) gave \(values)")
    }
  }
}
