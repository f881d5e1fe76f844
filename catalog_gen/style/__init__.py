"""Style transfer into a brand's templates: the product's matte, the template's scene, and the engines that restyle it."""
