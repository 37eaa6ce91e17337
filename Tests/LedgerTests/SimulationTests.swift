import Foundation
import LedgerSimulation
import Testing

@Suite struct SimulationTests {
  /// Set `FAIRDRAW_TEST_SEED` to what a failed run printed to see it again.
  @Test(arguments: Simulation.Store.allCases) func theLedgerDoesWhatTheModelSays(_ store: Simulation.Store) async throws
  {
    var simulation = try await Simulation(seed: announcedSeed(), store: store)
    try await simulation.advance(to: store == .memory ? 65_000 : 35_000)
    try await simulation.finish()
    // The run was not a walk in the park: everything it is about came up.
    #expect(simulation.missed == [])
  }

  /// Numbers as the model writes them.
  @Test(
    arguments: [
      (0, "0"), (-0.0, "-0"), (0.1, "0.1"), (-1.5, "-1.5"), (1e21, "1e+21"), (1e20, "100000000000000000000"),
      (1e-6, "0.000001"),
      (1.25e-7, "1.25e-7"), (5e-324, "4.94065645841247e-324"), (0.30000000000000004, "0.30000000000000004"),
      (-123456.789e5, "-12345678900"), (9_007_199_254_740_993, "9007199254740992"), (1e300, "1e+300"),
    ] as [(Double, String)])
  func theModelWritesNumbersInFewDigits(_ number: Double, _ expected: String) { #expect(decimal(number) == expected) }
}
