"""Style transfer into a brand's templates: the product's matte, the template's scene, the engines that restyle it."""
