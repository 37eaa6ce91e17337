import Fairness
import Foundation
import Testing

@Suite struct FDLibMTests {
  /// How many doubles lie from one to the other; both finite and of one sign.
  private func ulps(_ a: Double, _ b: Double) -> UInt64 {
    if a == b { return 0 }
    guard a.sign == b.sign, a.isFinite, b.isFinite else { return .max }
    let (x, y) = (a.bitPattern, b.bitPattern)
    return x > y ? x - y : y - x
  }

  /// The platform's log is within 1 ulp of the truth and so is ours: they differ by 1 at the most where
  /// the platform's is correctly rounded, as it all but always is.
  @Test func logIsWithinAnUlpOfThePlatforms() {
    var random = SplitMix64(state: 1)
    var worst: UInt64 = 0
    for index in 0..<1_000_000 {
      let x: Double =
        switch index % 4 {
        case 0: Double.random(in: 0..<1, using: &random)  // what a draw feeds it
        case 1: Double.random(in: 0.5..<2, using: &random)
        case 2: 1 + Double.random(in: -0x1p-18..<0x1p-18, using: &random)
        // Any positive double, subnormal ones too.
        default: Double(bitPattern: UInt64.random(in: 1..<0x7ff0_0000_0000_0000, using: &random))
        }
      worst = max(worst, ulps(FDLibM.log(x), log(x)))
    }
    #expect(worst <= 1)
  }

  @Test func expIsWithinAnUlpOfThePlatforms() {
    var random = SplitMix64(state: 2)
    var worst: UInt64 = 0
    for index in 0..<1_000_000 {
      let x: Double =
        switch index % 4 {
        case 0: Double.random(in: -100..<0, using: &random)  // what a draw feeds it
        case 1: Double.random(in: -1.1..<1.1, using: &random)
        case 2: Double.random(in: -0x1p-26..<0x1p-26, using: &random)
        default: Double.random(in: -745..<709.7, using: &random)
        }
      worst = max(worst, ulps(FDLibM.exp(x), exp(x)))
    }
    #expect(worst <= 1)
  }

  /// V8 computes `Math.log` and `Math.exp` by the same algorithm, in another's hands. The digests (FNV-1a, a
  /// result's 64 bits at a time) are what Node.js 20 gave for the same 200 000 arguments.
  @Test func agreesWithV8ToTheLastBit() {
    let log = digest(FDLibM.log) { index, word, unit in
      index % 2 == 0 ? 1 - unit : Double(bitPattern: word % 0x7ff0_0000_0000_0000)
    }
    #expect(log == 0xa975_2318_e49d_2824)
    let exp = digest(FDLibM.exp) { index, _, unit in
      index % 2 == 0 ? -100 * unit : 1490 * (unit - 0.5)
    }
    #expect(exp == 0x5e6_6cf6_7ddf_4104)

    func digest(_ function: (Double) -> Double, of argument: (Int, UInt64, Double) -> Double) -> UInt64 {
      var random = SplitMix64(state: 3)
      var hash: UInt64 = 0xcbf2_9ce4_8422_2325
      for index in 0..<200_000 {
        let word = random.next()
        let result = function(argument(index, word, Double(word >> 11) * 0x1p-53))
        hash = (hash ^ result.bitPattern) &* 0x100_0000_01b3
      }
      return hash
    }
  }

  @Test func specialCasesOfLog() {
    #expect(FDLibM.log(0) == -.infinity)
    #expect(FDLibM.log(-0.0) == -.infinity)
    #expect(FDLibM.log(.infinity) == .infinity)
    for x: Double in [-1, -.infinity, -5e-324, .nan, -.nan, .signalingNaN] {
      #expect(FDLibM.log(x).isNaN)
    }
    #expect(FDLibM.log(1).bitPattern == 0)
    #expect(FDLibM.log(2) == 0.6931471805599453)
    #expect(FDLibM.log(0.5) == -0.6931471805599453)
    #expect(FDLibM.log(10) == 2.302585092994046)
    #expect(FDLibM.log(1 - 0x1p-53) == -0x1.0p-53)
    #expect(FDLibM.log(0x1p-1022) == -708.3964185322641)
    #expect(FDLibM.log(.leastNonzeroMagnitude) == -744.4400719213812)
    #expect(FDLibM.log(.greatestFiniteMagnitude) == 709.782712893384)
  }

  @Test func specialCasesOfExp() {
    #expect(FDLibM.exp(0) == 1)
    #expect(FDLibM.exp(-0.0) == 1)
    #expect(FDLibM.exp(.infinity) == .infinity)
    #expect(FDLibM.exp(-.infinity).bitPattern == 0)
    for x: Double in [.nan, -.nan, .signalingNaN] { #expect(FDLibM.exp(x).isNaN) }
    #expect(FDLibM.exp(0x1p-60) == 1)
    #expect(FDLibM.exp(-1) == 0.36787944117144233)
    #expect(FDLibM.exp(-100) == 3.720075976020836e-44)

    // The last argument on the near side of each edge, and the first beyond.
    let overflow = 709.782712893384
    #expect(FDLibM.exp(overflow) == 0x1.fffffffffff2ap+1023)
    #expect(FDLibM.exp(overflow.nextUp) == .infinity)
    #expect(FDLibM.exp(.greatestFiniteMagnitude) == .infinity)
    let underflow = -745.1332191019411
    #expect(FDLibM.exp(underflow) == .leastNonzeroMagnitude)
    #expect(FDLibM.exp(underflow.nextDown) == 0)
    #expect(FDLibM.exp(-.greatestFiniteMagnitude) == 0)
    #expect(FDLibM.exp(-708.5).isSubnormal)
  }
}
