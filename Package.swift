// swift-tools-version: 6.2
import PackageDescription

// Read top to bottom, this file is the architecture: a floor imports only from the floors above it here.

/// Async functions run where their caller runs. A call from one into the next then costs no hand-over, which on the way
/// of a request would happen a dozen times.
let settings: [SwiftSetting] = [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]

/// A release of a program has Swift's runtime in itself, and needs no toolchain where it runs. The libraries named are
/// those of Foundation which modules that are compiled for the shared runtime do not name.
let selfContained: [LinkerSetting] =
  [
    .unsafeFlags(
      ["-static-stdlib", "-use-ld=lld", "-Xlinker", "--no-export-dynamic"],
      .when(platforms: [.linux], configuration: .release))
  ]
  + [
    "CoreFoundation", "_FoundationCShims", "_FoundationCollections", "_FoundationICU", "BlocksRuntime",
    "swiftSynchronization",
  ]
  .map { .linkedLibrary($0, .when(platforms: [.linux], configuration: .release)) }

let package = Package(
  name: "fairdraw",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "Fairness", targets: ["Fairness"]),
    .executable(name: "fairdraw", targets: ["fairdraw"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-crypto.git", from: "4.0.0"),
    .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0", traits: []),
    .package(url: "https://github.com/apple/swift-log.git", from: "1.14.0"),
    .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
    .package(url: "https://github.com/apple/swift-nio-extras.git", from: "1.35.0"),
    .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.0", traits: []),
    .package(url: "https://github.com/hummingbird-project/swift-mustache.git", from: "2.0.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
  ],
  targets: [
    // libsodium, which has the group ristretto255 and scrypt, as the system has it.
    .systemLibrary(
      name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"]), .brew(["libsodium"])]),

    // Nettle, whose SHA-256 needs no memory of its own, as the system has it.
    .systemLibrary(name: "CNettle", pkgConfig: "nettle", providers: [.apt(["nettle-dev"]), .brew(["nettle"])]),

    // The mathematics: seeds and their proofs, the byte stream, the generators, verification. Pure.
    .target(
      name: "Fairness",
      dependencies: ["CNettle", "CSodium", .product(name: "Crypto", package: "swift-crypto")]),

    // JSON as the contract needs it: strict, bounded, and keeping every value as it was written.
    .target(name: "JSON"),

    // The domain: submissions, `decide`, the group-committing writer, the store's contract.
    .target(
      name: "Ledger",
      dependencies: [
        "Fairness", "JSON", .product(name: "Crypto", package: "swift-crypto"),
      ],
      swiftSettings: settings),

    // Account holders: sign-in, sessions, keys, webhooks, usage, export; the contract of a store that keeps them.
    .target(
      name: "Accounts",
      dependencies: [
        "CSodium", "Ledger", "Fairness", "JSON", .product(name: "Crypto", package: "swift-crypto"),
      ],
      swiftSettings: settings),

    // What every relational database is asked in the same words, and what stores make sure of before they write.
    .target(name: "SQLStore", dependencies: ["Accounts", "Ledger", "Fairness", "JSON"], swiftSettings: settings),

    // The call that sets up SQLite as a whole, which Swift cannot make.
    .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"]), .brew(["sqlite3"])]),

    // The ledger on an embedded SQLite file.
    .target(
      name: "SQLiteStore",
      dependencies: [
        "CSQLite", "SQLStore", "Accounts", "Ledger", "Fairness",
        .product(name: "GRDB", package: "GRDB.swift"),
        .product(name: "GRDBSQLite", package: "GRDB.swift"),
      ],
      swiftSettings: settings),

    // libcurl, as the system has it.
    .systemLibrary(
      name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"]), .brew(["curl"])]),

    // The HTTP requests that the program sends itself.
    .target(name: "HTTPClient", dependencies: ["CCurl", "Ledger"], swiftSettings: settings),

    // Webhooks: what an event says, how it is signed, where it may go, and the worker that delivers it.
    .target(
      name: "Webhooks",
      dependencies: [
        "HTTPClient", "Ledger", "Fairness", "JSON",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: settings),

    // libpq, PostgreSQL's client library, as the system has it.
    .systemLibrary(name: "CPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"]), .brew(["libpq"])]),

    // The ledger on PostgreSQL, shared by any number of servers.
    .target(
      name: "PostgresStore", dependencies: ["CPQ", "SQLStore", "Accounts", "Ledger", "Fairness"],
      swiftSettings: settings),

    // The daily log: each UTC day's outcomes in a Merkle tree, its root signed and published; checking such a day. What a
    // witness of logs cosigns.
    .target(
      name: "Transparency",
      dependencies: [
        "Ledger", "Fairness", "JSON",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: settings),

    // HTTP: routes, middleware, parameters. Knows no SQL.
    .target(
      name: "API",
      dependencies: [
        "Accounts", "Ledger", "Fairness", "JSON",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
        .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ],
      exclude: ["openapi.json"], swiftSettings: settings, plugins: ["EmbedText"]),

    // The pages people read: outcomes, verification, transparency, the guides. Knows no SQL.
    .target(
      name: "Website",
      dependencies: [
        "API", "Webhooks", "Accounts", "Ledger", "Fairness", "JSON", "CRSVG",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "Mustache", package: "swift-mustache"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ],
      exclude: ["Templates", "Assets", "Guides"], swiftSettings: settings, plugins: ["EmbedText"]),

    // Puts texts into programs.
    .plugin(name: "EmbedText", capability: .buildTool()),

    // librsvg and cairo, which draw the preview pictures.
    .systemLibrary(name: "CRSVG", pkgConfig: "librsvg-2.0", providers: [.apt(["librsvg2-dev"])]),

    // jemalloc, the program's allocator, as the system has it.
    .systemLibrary(
      name: "CJemalloc", pkgConfig: "jemalloc", providers: [.apt(["libjemalloc-dev"]), .brew(["jemalloc"])]),

    // The command line and the wiring.
    .executableTarget(
      name: "fairdraw",
      dependencies: [
        "API", "Website", "Webhooks", "HTTPClient", "Transparency", "Accounts", "Ledger", "SQLStore", "SQLiteStore",
        "PostgresStore", "Fairness", "JSON", "CJemalloc",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      linkerSettings: selfContained),

    // Random input for all that reads what comes from outside; see bin/fuzz.
    .executableTarget(
      name: "fuzz",
      dependencies: [
        "API", "PostgresStore", "CPQ", "Ledger", "Fairness", "JSON",
        .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOEmbedded", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
      ],
      path: "Tests/Fuzz", exclude: ["Corpus"]),

    // A model of the ledger, and random submissions that hold the ledger against it; see bin/simulate.
    .target(
      name: "LedgerSimulation",
      dependencies: [
        "SQLiteStore", "SQLStore", "Ledger", "Fairness", .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "GRDBSQLite", package: "GRDB.swift"),
      ],
      path: "Tests/LedgerSimulation", swiftSettings: settings),
    .executableTarget(
      name: "simulate", dependencies: ["LedgerSimulation"], path: "Tests/Simulate", swiftSettings: settings),

    // What bench/ measures against: the same HTTP stack answering a constant.
    .executableTarget(
      name: "bare-route",
      dependencies: [
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ],
      path: "bench/BareRoute", linkerSettings: selfContained),
    // How many server seeds a second can be computed, and nothing else.
    .executableTarget(
      name: "seed-rate", dependencies: ["Fairness", .product(name: "Crypto", package: "swift-crypto")],
      path: "bench/SeedRate"),

    // Tests. What drives a real server from outside is in Tests/System.
    .target(
      name: "StoreConformance",
      dependencies: [
        "SQLStore", "Accounts", "Ledger", "Transparency", "Fairness", .product(name: "Logging", package: "swift-log"),
      ],
      path: "Tests/StoreConformance"),
    .testTarget(
      name: "FairnessTests", dependencies: ["Fairness", .product(name: "Crypto", package: "swift-crypto")],
      resources: [.copy("vectors.jsonl"), .copy("seed-vectors.jsonl")]),
    .testTarget(name: "JSONTests", dependencies: ["JSON"]),
    .testTarget(name: "AccountsTests", dependencies: ["Accounts", "LedgerSimulation", "Ledger", "Fairness"]),
    .testTarget(name: "LedgerTests", dependencies: ["LedgerSimulation", "Ledger", "Fairness", "JSON"]),
    .testTarget(
      name: "WebsiteTests",
      dependencies: [
        "Website", "API", "Ledger", "Fairness", .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
      ]),
    .testTarget(
      name: "TransparencyTests",
      dependencies: ["Transparency", "Ledger", "Fairness", .product(name: "Logging", package: "swift-log")]),
    .testTarget(
      name: "APITests",
      dependencies: [
        "API", "Ledger", "Fairness", "JSON", .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOEmbedded", package: "swift-nio"), .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ]),
    .testTarget(
      name: "WebhooksTests",
      dependencies: [
        "Webhooks", "HTTPClient", "Ledger", "Fairness",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ]),
    .testTarget(
      name: "SQLiteStoreTests",
      dependencies: [
        "SQLiteStore", "SQLStore", "StoreConformance", "LedgerSimulation", "Transparency", "Ledger", "Fairness",
        .product(name: "Logging", package: "swift-log"), .product(name: "GRDBSQLite", package: "GRDB.swift"),
      ]),
    .testTarget(
      name: "PostgresStoreTests", dependencies: ["PostgresStore", "StoreConformance", "Ledger", "Fairness"]),
  ],
  swiftLanguageModes: [.v6]
)
