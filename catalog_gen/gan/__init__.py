"""The text-conditioned GAN: networks, losses, training, drawing."""
