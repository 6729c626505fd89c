// swift-tools-version: 5.9
import PackageDescription

let package = Package(
    name: "__MODULE__",
    platforms: [.iOS(.v15), .macOS(.v12)],
    products: [
        .library(name: "__MODULE__", targets: ["__MODULE__"]),
    ],
    dependencies: [
        .package(url: "https://github.com/microsoft/onnxruntime-swift-package-manager", from: "1.20.0"),
    ],
    targets: [
        .target(
            name: "__MODULE__",
            dependencies: [
                .product(name: "onnxruntime", package: "onnxruntime-swift-package-manager"),
            ],
            resources: [.copy("Resources/__FILE__")]
        ),
        .testTarget(
            name: "__MODULE__Tests",
            dependencies: ["__MODULE__"],
            resources: [.copy("Golden")]
        ),
    ]
)
