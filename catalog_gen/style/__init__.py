"""Style transfer into a brand's templates: the product's matte, its scene, and the engines that restyle it."""
