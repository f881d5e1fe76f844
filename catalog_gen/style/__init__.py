"""Style transfer into brand templates: the product's matte, its scene, and the engines that paint the scene."""
